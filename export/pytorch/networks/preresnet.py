"""The 3D-ResNets family ``preresnet``: residual blocks that normalise and activate before they convolve.

Nothing stands between the last addition and the pooling, as in the published network. The first normalisation of each
block follows no convolution, so an exported graph keeps one BatchNormalization for each block.
"""

from __future__ import annotations

from typing import Any, Dict

from torch import Tensor, nn

from clip2om.export.pytorch.family import Clip, Family, State
from clip2om.export.pytorch.networks.resnet3d import BASIC_DEPTHS, DEPTHS, LANDMARKS, depths_of, kind_of
from clip2om.export.pytorch.residual import (
    POOLED_STEM,
    UNTOLD,
    WIDTHS,
    ResidualNet,
    ResidualOptions,
    conv1x1x1,
    conv3x3x3,
    make_shortcut,
    read_residual,
    refuse_depth,
    scaled,
)


class PreBasicBlock(nn.Module):
    """Two activated 3x3x3 convolutions and a shortcut from the raw input; ``stride`` is on the first."""

    def __init__(self, in_width: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.out_width = width
        self.bn1 = nn.BatchNorm3d(in_width)
        self.conv1 = conv3x3x3(in_width, width, stride)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv2 = conv3x3x3(width, width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = make_shortcut(in_width, width, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, width, T', H', W')."""
        out = self.conv1(self.relu(self.bn1(x)))
        out = self.conv2(self.relu(self.bn2(out)))
        return out + self.downsample(x)


class PreBottleneck(nn.Module):
    """Activated 1x1x1, 3x3x3 and 1x1x1 convolutions and a shortcut from the raw input; ``stride`` is on the second."""

    def __init__(self, in_width: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.out_width = 4 * width
        self.bn1 = nn.BatchNorm3d(in_width)
        self.conv1 = conv1x1x1(in_width, width)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv2 = conv3x3x3(width, width, stride)
        self.bn3 = nn.BatchNorm3d(width)
        self.conv3 = conv1x1x1(width, self.out_width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = make_shortcut(in_width, self.out_width, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, 4 * width, T', H', W')."""
        out = self.conv1(self.relu(self.bn1(x)))
        out = self.conv2(self.relu(self.bn2(out)))
        out = self.conv3(self.relu(self.bn3(out)))
        return out + self.downsample(x)


def preresnet(model: ResidualOptions, clip: Clip) -> ResidualNet:
    """Return the pre-activation 3D ResNet of ``model.depth``.

    Raises:
        RequestError: another depth, or an option that gives no network.
    """
    if model.depth not in DEPTHS:
        raise refuse_depth(model.depth, list(DEPTHS))
    block = PreBasicBlock if model.depth in BASIC_DEPTHS else PreBottleneck

    def make_block(in_width: int, width: int, stride: int) -> nn.Module:
        return block(in_width, width, stride, model.shortcut)

    return ResidualNet(
        model, clip, make_block, DEPTHS[model.depth], [scaled(width, model.widen_factor) for width in WIDTHS]
    )


def _read(state: State) -> Dict[str, Any]:
    return read_residual(state, depths_of(state))


FAMILIES = (
    Family(
        "preresnet",
        ResidualOptions,
        preresnet,
        "a pre-activation 3D ResNet",
        # Normalisations that follow no convolution stay.
        POOLED_STEM | {"BatchNormalization"},
        LANDMARKS,
        _read,
        lambda state: kind_of(state) == "preresnet",
        "preresnet",
        untold=UNTOLD,
    ),
)
