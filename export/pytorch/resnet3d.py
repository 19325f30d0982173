"""The 3D-ResNets families ``resnet``, ``wideresnet`` and ``resnext``: one bottleneck of three proportions."""

from __future__ import annotations

from typing import Dict, Tuple

from torch import Tensor, nn

from clip2om.export.pytorch.residual import (
    WIDTHS,
    Clip,
    MakeBlock,
    ResidualNet,
    conv1x1x1,
    conv3x3x3,
    make_shortcut,
    refuse_depth,
    scaled,
)
from clip2om.pipeline.card import Model
from clip2om.pipeline.errors import RequestError

BASIC_DEPTHS: Dict[int, Tuple[int, ...]] = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
BOTTLENECK_DEPTHS: Dict[int, Tuple[int, ...]] = {
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
DEPTHS = {**BASIC_DEPTHS, **BOTTLENECK_DEPTHS}
RESNEXT_WIDTHS = (128, 256, 512, 1024)
# Of the families but resnet, whose bottleneck widens four times.
EXPANSION = 2


class BasicBlock(nn.Module):
    """Two 3x3x3 convolutions and a shortcut; ``stride`` is on the first."""

    def __init__(self, in_width: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.out_width = width
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
    """1x1x1, 3x3x3 (in ``groups``) and 1x1x1 convolutions and a shortcut; ``stride`` is on the second."""

    def __init__(self, in_width: int, width: int, out_width: int, stride: int, shortcut: str, groups: int = 1) -> None:
        super().__init__()
        self.out_width = out_width
        self.conv1 = conv1x1x1(in_width, width)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = conv3x3x3(width, width, stride, groups)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = conv1x1x1(width, out_width)
        self.bn3 = nn.BatchNorm3d(out_width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = make_shortcut(in_width, out_width, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, out_width, T', H', W')."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + self.downsample(x))


def resnet3d(model: Model, clip: Clip) -> ResidualNet:
    """Return the 3D ResNet of ``model.depth``: basic blocks up to depth 34, bottlenecks from 50 on.

    Raises:
        RequestError: another depth, or an option that gives no network.
    """
    if model.depth not in DEPTHS:
        raise refuse_depth(model.depth, list(DEPTHS))
    widths = [scaled(width, model.widen_factor) for width in WIDTHS]

    def basic(in_width: int, width: int, stride: int) -> nn.Module:
        return BasicBlock(in_width, width, stride, model.shortcut)

    def bottleneck(in_width: int, width: int, stride: int) -> nn.Module:
        return Bottleneck(in_width, width, 4 * width, stride, model.shortcut)

    make_block: MakeBlock = basic if model.depth in BASIC_DEPTHS else bottleneck
    return ResidualNet(model, clip, make_block, DEPTHS[model.depth], widths)


def wideresnet(model: Model, clip: Clip) -> ResidualNet:
    """Return the wide 3D ResNet: bottlenecks ``model.wide_resnet_k`` times as wide, widened by 2 at their end.

    Raises:
        RequestError: a depth or an option that gives no network.
    """
    if model.depth not in BOTTLENECK_DEPTHS:
        raise refuse_depth(model.depth, list(BOTTLENECK_DEPTHS))
    if model.wide_resnet_k < 1:
        raise RequestError(f"model.wide_resnet_k is {model.wide_resnet_k}, expected 1 or more")
    widths = [scaled(width * model.wide_resnet_k, model.widen_factor) for width in WIDTHS]

    def bottleneck(in_width: int, width: int, stride: int) -> nn.Module:
        return Bottleneck(in_width, width, EXPANSION * width, stride, model.shortcut)

    return ResidualNet(model, clip, bottleneck, BOTTLENECK_DEPTHS[model.depth], widths)


def resnext(model: Model, clip: Clip) -> ResidualNet:
    """Return the 3D ResNeXt: the middle convolution in ``model.cardinality`` groups of width / 32 channels each.

    Raises:
        RequestError: a depth or an option that gives no network.
    """
    if model.depth not in BOTTLENECK_DEPTHS:
        raise refuse_depth(model.depth, list(BOTTLENECK_DEPTHS))
    groups = model.cardinality
    widths = [scaled(width, model.widen_factor) for width in RESNEXT_WIDTHS]
    if groups < 1 or any(width % 32 for width in widths):
        raise RequestError(
            f"model.cardinality {groups} and model.widen_factor {model.widen_factor} give no whole channels per group",
            todo="use 1 or more groups, and widths that are multiples of 32: 0.25, 0.5, 0.75, 1, ...",
        )

    def bottleneck(in_width: int, width: int, stride: int) -> nn.Module:
        return Bottleneck(in_width, groups * width // 32, EXPANSION * width, stride, model.shortcut, groups)

    return ResidualNet(model, clip, bottleneck, BOTTLENECK_DEPTHS[model.depth], widths)
