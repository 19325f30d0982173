"""The 3D ResNet of the 3D-ResNets family (``resnet``), with its state-dict names, order and numbers.

Hara et al., "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?", CVPR 2018. The modules carry
the names that trained checkpoints use, and only operations that export to plain ONNX nodes.
"""

from __future__ import annotations

from typing import Dict, Tuple, Type, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.pytorch.pooling import GlobalPool
from pipeline.errors import RequestError

WIDTHS = (64, 128, 256, 512)


class BasicBlock(nn.Module):
    """Two 3x3x3 convolutions and a shortcut; ``stride`` is on the first."""

    expansion = 1

    def __init__(self, in_width: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = conv3x3x3(in_width, width, stride)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = conv3x3x3(width, width)
        self.bn2 = nn.BatchNorm3d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = make_shortcut(in_width, width, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, width, T', H', W')."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + self.downsample(x))


class Bottleneck(nn.Module):
    """1x1x1, 3x3x3 and 1x1x1 convolutions and a shortcut; ``stride`` is on the second."""

    expansion = 4

    def __init__(self, in_width: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__()
        out_width = width * self.expansion
        self.conv1 = conv1x1x1(in_width, width)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = conv3x3x3(width, width, stride)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = conv1x1x1(width, out_width)
        self.bn3 = nn.BatchNorm3d(out_width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = make_shortcut(in_width, out_width, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, 4 * width, T', H', W')."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + self.downsample(x))


Block = Union[Type[BasicBlock], Type[Bottleneck]]
DEPTHS: Dict[int, Tuple[Block, Tuple[int, ...]]] = {
    10: (BasicBlock, (1, 1, 1, 1)),
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
    200: (Bottleneck, (3, 24, 36, 3)),
}


class PaddedIdentity(nn.Module):
    """Shortcut type A: every ``stride``-th sample, then zero channels after the existing ones.

    Written as a 1x1x1 convolution with the constant weight [identity; zeros], which is exact and exports to one Conv.
    A padded slice takes more nodes, and the published code freezes the example's residual into the graph. The weight
    is no parameter: it is not in the state dict.
    """

    weight: Tensor

    def __init__(self, in_width: int, out_width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.register_buffer("weight", torch.eye(out_width, in_width)[:, :, None, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, out_width, ceil(T / stride), ...)."""
        return F.conv3d(x, self.weight, stride=self.stride)


class ResNet3d(nn.Module):
    """3D ResNet: stem, four stages of residual blocks, pooling over time and space, linear classifier.

    Args:
        depth: One of :data:`DEPTHS`.
        classes: Number of logits.
        channels: Channels of the input clip.
        shortcut: ``A`` (no parameters) or ``B`` (convolution and batch norm) where a block changes the shape.
        widen_factor: Multiplies the widths 64, 128, 256, 512, each cut to an integer.
        conv1_t_size: Extent of the stem's kernel in time.
        conv1_t_stride: Stride of the stem in time.
        no_max_pool: Leave out the stem's max pooling.

    Attributes:
        avgpool: Maps features (N, C, T, H, W) to (N, C); has no weights and may be replaced.

    Raises:
        RequestError: a depth that is not in :data:`DEPTHS`, or another option that gives no network.
    """

    def __init__(
        self,
        depth: int,
        classes: int,
        channels: int = 3,
        shortcut: str = "B",
        widen_factor: float = 1.0,
        conv1_t_size: int = 7,
        conv1_t_stride: int = 1,
        no_max_pool: bool = False,
    ) -> None:
        super().__init__()
        block, counts = _stages(depth)
        widths = _widths(widen_factor)
        _check_stem(conv1_t_size, conv1_t_stride)
        self.conv1 = nn.Conv3d(
            channels,
            widths[0],
            kernel_size=(conv1_t_size, 7, 7),
            stride=(conv1_t_stride, 2, 2),
            padding=(conv1_t_size // 2, 3, 3),
            bias=False,
        )
        self.bn1 = nn.BatchNorm3d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if no_max_pool else nn.MaxPool3d(kernel_size=3, stride=2, padding=1)
        out = [width * block.expansion for width in widths]
        self.layer1 = _layer(block, widths[0], widths[0], counts[0], 1, shortcut)
        self.layer2 = _layer(block, out[0], widths[1], counts[1], 2, shortcut)
        self.layer3 = _layer(block, out[1], widths[2], counts[2], 2, shortcut)
        self.layer4 = _layer(block, out[2], widths[3], counts[3], 2, shortcut)
        self.avgpool: nn.Module = GlobalPool()
        self.fc = nn.Linear(out[3], classes)

    def features(self, x: Tensor) -> Tensor:
        """Map clips, float (N, channels, T, H, W), to the output of layer4, float (N, C, T', H', W')."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised clips, float (N, channels, T, H, W), to logits, float (N, classes)."""
        return self.fc(self.avgpool(self.features(x)))


def conv3x3x3(in_width: int, out_width: int, stride: int = 1) -> nn.Conv3d:
    """Return a 3x3x3 convolution with padding 1 and no bias."""
    return nn.Conv3d(in_width, out_width, kernel_size=3, stride=stride, padding=1, bias=False)


def conv1x1x1(in_width: int, out_width: int, stride: int = 1) -> nn.Conv3d:
    """Return a 1x1x1 convolution without padding and bias."""
    return nn.Conv3d(in_width, out_width, kernel_size=1, stride=stride, bias=False)


def make_shortcut(in_width: int, out_width: int, stride: int, kind: str) -> nn.Module:
    """Return a block's shortcut: the identity where the shape stays, else type ``A`` or ``B``."""
    if stride == 1 and in_width == out_width:
        return nn.Identity()
    if kind == "A":
        return PaddedIdentity(in_width, out_width, stride)
    return nn.Sequential(conv1x1x1(in_width, out_width, stride), nn.BatchNorm3d(out_width))


def _layer(block: Block, in_width: int, width: int, count: int, stride: int, shortcut: str) -> nn.Sequential:
    blocks = [block(in_width, width, stride, shortcut)]
    blocks += [block(width * block.expansion, width, 1, shortcut) for _ in range(count - 1)]
    return nn.Sequential(*blocks)


def _stages(depth: int) -> Tuple[Block, Tuple[int, ...]]:
    if depth not in DEPTHS:
        raise RequestError(f"model.depth is {depth}, expected one of: {', '.join(map(str, DEPTHS))}")
    return DEPTHS[depth]


def _widths(widen_factor: float) -> Tuple[int, ...]:
    widths = tuple(int(width * widen_factor) for width in WIDTHS)
    if widths[0] < 1:
        raise RequestError(
            f"model.widen_factor {widen_factor} leaves the stem without channels", todo="use 1/64 or more"
        )
    return widths


def _check_stem(size: int, stride: int) -> None:
    if size < 1 or stride < 1:
        raise RequestError(f"model.conv1_t_size is {size}, model.conv1_t_stride is {stride}, expected 1 or more")
