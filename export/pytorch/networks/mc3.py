"""The MC3 of torchvision: a 3D ResNet whose convolutions reach over time in the first stage alone.

Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018; the names are those of
:mod:`export.pytorch.networks.resnet3d`, to which :mod:`export.pytorch.renaming` brings torchvision's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict

from torch import Tensor, nn

from clip2om.export.pytorch.family import PLAIN, Clip, Family, State, depth_of
from clip2om.export.pytorch.networks.resnet3d import BASIC_DEPTHS, LANDMARKS, BasicBlock, kind_of
from clip2om.export.pytorch.residual import WIDTHS, ResidualNet, StemOptions, refuse_depth, scaled


@dataclass(frozen=True)
class Mc3Options:
    """Depth, and the factor of all widths."""

    classes: int
    depth: int = 18
    widen_factor: float = 1.0


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


def mc3(model: Mc3Options, clip: Clip) -> ResidualNet:
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

    stem = StemOptions(model.classes, model.depth, model.widen_factor, conv1_t_size=3, no_max_pool=True)
    return ResidualNet(stem, clip, block, BASIC_DEPTHS[model.depth], widths)


def _flat(in_width: int, width: int, stride: int) -> nn.Conv3d:
    return nn.Conv3d(in_width, width, (1, 3, 3), stride=(1, stride, stride), padding=(0, 1, 1), bias=False)


def _read(state: State) -> Dict[str, Any]:
    options: Dict[str, Any] = dict(depth_of(BASIC_DEPTHS, state))
    options["widen_factor"] = len(state["layer4.0.conv2.weight"]) / WIDTHS[3]
    return {**options, "classes": len(state["fc.weight"])}


FAMILIES = (
    Family(
        "mc3",
        Mc3Options,
        mc3,
        "an MC3 of torchvision",
        PLAIN,
        LANDMARKS,
        _read,
        lambda state: kind_of(state) == "mc3",
    ),
)
