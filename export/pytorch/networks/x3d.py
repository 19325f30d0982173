"""X3D under the names of mmaction2: depthwise convolutions over space and time.

Feichtenhofer, "X3D: Expanding Architectures for Efficient Video Recognition", CVPR 2020. S and M are one network for
inputs of 13 frames of 160 or 182, and of 16 frames of 224 or 256.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Optional

import torch.nn.functional as F
from torch import Tensor, nn

from clip2om.export.pytorch.convmodule import ConvBn, Recognizer3d, conv3d
from clip2om.export.pytorch.family import PLAIN, Clip, Family, State

_STEM, _LAST, _HIDDEN = 24, 432, 2048
_COUNTS, _WIDTHS, _INNER = (3, 5, 11, 7), (24, 48, 96, 192), (54, 108, 216, 432)


@dataclass(frozen=True)
class X3dOptions:
    """There is one network; frames and size are those of the clip."""

    classes: int


class Squeeze(nn.Module):
    """Squeeze and excitation: channels weighted by what their averages say."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = _rounded(width)
        self.fc1, self.fc2 = nn.Conv3d(width, inner, 1), nn.Conv3d(inner, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, width, T, H, W) to the same."""
        return x * self.fc2(self.fc1(F.adaptive_avg_pool3d(x, 1)).relu()).sigmoid()


class Block(nn.Module):
    """Convolutions 1x1x1, depthwise 3x3x3 and 1x1x1 with squeeze and swish between the last two, and a shortcut."""

    def __init__(self, in_width: int, inner: int, width: int, stride: int, squeezed: bool) -> None:
        super().__init__()
        self.conv1 = conv3d(in_width, inner, 1)
        self.conv2 = conv3d(inner, inner, (3, 3, 3), (1, stride, stride), active=False, groups=inner)
        self.se_module: nn.Module = Squeeze(inner) if squeezed else nn.Identity()
        self.conv3 = conv3d(inner, width, 1, active=False)
        self.downsample: Optional[nn.Module] = None
        if stride != 1 or in_width != width:
            self.downsample = conv3d(in_width, width, 1, (1, stride, stride), active=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, width, T, H', W')."""
        out = self.se_module(self.conv2(self.conv1(x)))
        out = self.conv3(out * out.sigmoid())
        return (out + (x if self.downsample is None else self.downsample(x))).relu()


class Backbone(nn.Module):
    """Stem over space, then time, four stages, a last convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1_s = _Spatial(channels)
        self.conv1_t = conv3d(_STEM, _STEM, (5, 1, 1), groups=_STEM)
        before = _STEM
        for index, (count, width, inner) in enumerate(zip(_COUNTS, _WIDTHS, _INNER), 1):
            blocks = []
            for number in range(count):
                blocks.append(Block(before, inner, width, 1 if number else 2, number % 2 == 0))
                before = width
            setattr(self, f"layer{index}", nn.Sequential(*blocks))
        self.conv5: ConvBn = conv3d(before, _LAST, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map clips, float (N, channels, T, H, W), to features, float (N, 432, T, H / 32, W / 32)."""
        x = self.conv1_t(self.conv1_s(x))
        return self.conv5(self.layer4(self.layer3(self.layer2(self.layer1(x)))))


class _Spatial(nn.Module):
    """The first convolution, in space, alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, _STEM, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, T, H, W) to (N, 24, T, H / 2, W / 2)."""
        return self.conv(x)


class X3dHead(nn.Module):
    """A hidden layer without bias, and the classifier."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(_LAST, _HIDDEN, bias=False), nn.Linear(_HIDDEN, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, 432) to (N, classes)."""
        return self.fc2(self.fc1(x).relu())


def x3d(options: X3dOptions, clip: Clip) -> Recognizer3d:
    """Return the network."""
    return Recognizer3d(Backbone(clip[0]), X3dHead(options.classes))


def _rounded(width: int) -> int:
    """Return a sixteenth of a width as a multiple of 8, which is not less than nine tenths of it."""
    ratio = width / 16
    found = max(8, int(ratio + 4) // 8 * 8)
    return found if found >= 0.9 * ratio else found + 8


def _read(state: State) -> Dict[str, Any]:
    return {"classes": len(state["cls_head.fc2.weight"])}


FAMILIES = (
    Family(
        "x3d",
        X3dOptions,
        x3d,
        "an X3D",
        PLAIN | {"MatMul", "Mul", "Sigmoid", "GlobalAveragePool"},
        {"backbone.conv1_s.conv.weight": 5, "backbone.conv1_t.conv.weight": 5, "cls_head.fc2.weight": 2},
        _read,
    ),
)
