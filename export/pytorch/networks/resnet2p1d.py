"""The 3D-ResNets family ``resnet2p1d``: each 3-D convolution becomes one over space and one over time.

Not the R(2+1)D of :mod:`export.pytorch.networks.r2plus1d`, which has another stem, other middle widths and other names.
"""

from __future__ import annotations

from typing import Any, Dict

from torch import Tensor, nn

from clip2om.export.pytorch.family import Clip, Family, State
from clip2om.export.pytorch.networks.resnet3d import BASIC_DEPTHS, DEPTHS, depths_of
from clip2om.export.pytorch.residual import (
    POOLED_STEM,
    UNTOLD,
    WIDTHS,
    ResidualNet,
    ResidualOptions,
    StemOptions,
    conv1x1x1,
    make_shortcut,
    read_residual,
    refuse_depth,
    scaled,
)


class Basic2p1d(nn.Module):
    """Two convolutions over space, then time, and a shortcut; ``stride`` is on the first pair."""

    def __init__(self, in_width: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.out_width = width
        middle = middle_width(in_width, width)
        self.conv1_s = spatial(in_width, middle, stride)
        self.bn1_s = nn.BatchNorm3d(middle)
        self.conv1_t = temporal(middle, width, stride)
        self.bn1_t = nn.BatchNorm3d(width)
        middle = middle_width(width, width)
        self.conv2_s = spatial(width, middle)
        self.bn2_s = nn.BatchNorm3d(middle)
        self.conv2_t = temporal(middle, width)
        self.bn2_t = nn.BatchNorm3d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = make_shortcut(in_width, width, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, width, T', H', W')."""
        out = self.relu(self.bn1_s(self.conv1_s(x)))
        out = self.relu(self.bn1_t(self.conv1_t(out)))
        out = self.relu(self.bn2_s(self.conv2_s(out)))
        out = self.bn2_t(self.conv2_t(out))
        return self.relu(out + self.downsample(x))


class Bottleneck2p1d(nn.Module):
    """1x1x1, space, time and 1x1x1 convolutions and a shortcut; ``stride`` is on the middle pair."""

    def __init__(self, in_width: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.out_width = 4 * width
        middle = middle_width(width, width)
        self.conv1 = conv1x1x1(in_width, width)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2_s = spatial(width, middle, stride)
        self.bn2_s = nn.BatchNorm3d(middle)
        self.conv2_t = temporal(middle, width, stride)
        self.bn2_t = nn.BatchNorm3d(width)
        self.conv3 = conv1x1x1(width, self.out_width)
        self.bn3 = nn.BatchNorm3d(self.out_width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = make_shortcut(in_width, self.out_width, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, 4 * width, T', H', W')."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2_s(self.conv2_s(out)))
        out = self.relu(self.bn2_t(self.conv2_t(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + self.downsample(x))


class ResNet2p1d(ResidualNet):
    """The shared skeleton with a stem over space, then time."""

    def add_stem(self, model: StemOptions, channels: int, width: int) -> None:
        """Add the two convolutions; the middle width counts three channels whatever ``channels`` is."""
        size = model.conv1_t_size
        middle = 3 * width * size * 49 // (3 * 49 + size * width)
        self.conv1_s = nn.Conv3d(channels, middle, (1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False)
        self.bn1_s = nn.BatchNorm3d(middle)
        time_stride = (model.conv1_t_stride, 1, 1)
        self.conv1_t = nn.Conv3d(middle, width, (size, 1, 1), stride=time_stride, padding=(size // 2, 0, 0), bias=False)
        self.bn1_t = nn.BatchNorm3d(width)

    def stem(self, x: Tensor) -> Tensor:
        """Map clips, float (N, channels, T, H, W), to what the first max pooling takes."""
        x = self.relu(self.bn1_s(self.conv1_s(x)))
        return self.relu(self.bn1_t(self.conv1_t(x)))


def resnet2p1d(model: ResidualOptions, clip: Clip) -> ResidualNet:
    """Return the (2+1)D ResNet of ``model.depth``.

    Raises:
        RequestError: another depth, or an option that gives no network.
    """
    if model.depth not in DEPTHS:
        raise refuse_depth(model.depth, list(DEPTHS))
    block = Basic2p1d if model.depth in BASIC_DEPTHS else Bottleneck2p1d

    def make_block(in_width: int, width: int, stride: int) -> nn.Module:
        return block(in_width, width, stride, model.shortcut)

    return ResNet2p1d(
        model, clip, make_block, DEPTHS[model.depth], [scaled(width, model.widen_factor) for width in WIDTHS]
    )


def middle_width(in_width: int, out_width: int) -> int:
    """Return the width between a convolution over space and one over time that has the weights of one 3x3x3.

    Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018.
    """
    return in_width * out_width * 27 // (in_width * 9 + 3 * out_width)


def spatial(in_width: int, out_width: int, stride: int = 1) -> nn.Conv3d:
    """Return a 1x3x3 convolution, ``stride`` in height and width, no bias."""
    return nn.Conv3d(in_width, out_width, (1, 3, 3), stride=(1, stride, stride), padding=(0, 1, 1), bias=False)


def temporal(in_width: int, out_width: int, stride: int = 1) -> nn.Conv3d:
    """Return a 3x1x1 convolution, ``stride`` in time, no bias."""
    return nn.Conv3d(in_width, out_width, (3, 1, 1), stride=(stride, 1, 1), padding=(1, 0, 0), bias=False)


def _read(state: State) -> Dict[str, Any]:
    return read_residual(state, depths_of(state), "conv1_t.weight", "layer4.0.conv2_t.weight")


FAMILIES = (
    Family(
        "resnet2p1d",
        ResidualOptions,
        resnet2p1d,
        "a (2+1)D ResNet of the 3D-ResNets",
        POOLED_STEM,
        {"conv1_s.weight": 5, "conv1_t.weight": 5, "layer4.0.conv2_t.weight": 5, "fc.weight": 2},
        _read,
        arch="resnet2p1d",
        untold=UNTOLD,
    ),
)
