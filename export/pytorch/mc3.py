"""The MC3 of torchvision: a 3D ResNet whose convolutions reach over time in the first stage alone.

Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018; the names are those of
:mod:`export.pytorch.resnet3d`, to which :mod:`export.pytorch.renaming` brings torchvision's.
"""

from __future__ import annotations

import dataclasses

from torch import Tensor, nn

from clip2om.export.pytorch.residual import WIDTHS, Clip, ResidualNet, refuse_depth, scaled
from clip2om.export.pytorch.resnet3d import BASIC_DEPTHS, BasicBlock
from clip2om.pipeline.card import Model


class FlatBlock(nn.Module):
    """Two 1x3x3 convolutions and a shortcut; ``stride``, in space alone, is on the first."""

    def __init__(self, in_width: int, width: int, stride: int) -> None:
        super().__init__()
        self.out_width = width
        self.conv1 = _flat(in_width, width, stride)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = _flat(width, width, 1)
        self.bn2 = nn.BatchNorm3d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_width != width:
            shortcut = nn.Conv3d(in_width, width, 1, stride=(1, stride, stride), bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm3d(width))

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, width, T, H', W')."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + self.downsample(x))


def mc3(model: Model, clip: Clip) -> ResidualNet:
    """Return the MC3 of ``model.depth``: a stem of 3x7x7 without max pooling, then one stage in time and three flat.

    Raises:
        RequestError: another depth, or a factor that leaves no channels.
    """
    if model.depth not in BASIC_DEPTHS:
        raise refuse_depth(model.depth, list(BASIC_DEPTHS))
    widths = [scaled(width, model.widen_factor) for width in WIDTHS]
    first = iter([True] * BASIC_DEPTHS[model.depth][0])

    def block(in_width: int, width: int, stride: int) -> nn.Module:
        if next(first, False):
            return BasicBlock(in_width, width, stride, "B")
        return FlatBlock(in_width, width, stride)

    stem = dataclasses.replace(model, conv1_t_size=3, conv1_t_stride=1, no_max_pool=True, stem_width=0)
    return ResidualNet(stem, clip, block, BASIC_DEPTHS[model.depth], widths)


def _flat(in_width: int, width: int, stride: int) -> nn.Conv3d:
    return nn.Conv3d(in_width, width, (1, 3, 3), stride=(1, stride, stride), padding=(0, 1, 1), bias=False)
