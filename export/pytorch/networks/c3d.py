"""C3D under the names of mmaction2: eight 3x3x3 convolutions with bias, five poolings, three linear layers.

Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks", ICCV 2015. The order of the sums that
fc6 takes is channel, frame, row, column, as in mmaction2 and PaddleC3D.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Dict

import torch
from torch import Tensor, nn

from clip2om.export.pytorch.convmodule import Head
from clip2om.export.pytorch.family import Clip, Family, State
from clip2om.export.pytorch.residual import WIDTHS, scaled

_LINEAR = 4096


@dataclass(frozen=True)
class C3dOptions:
    """The factor of all widths; ``same_padding`` pads poolings at the end only, as TensorFlow does."""

    classes: int
    widen_factor: float = 1.0
    same_padding: bool = False


class ConvRelu(nn.Module):
    """A convolution, activated; the level ``conv`` is in the names of the checkpoints."""

    def __init__(self, in_width: int, out_width: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_width, out_width, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, out_width, T, H, W)."""
        return torch.relu(self.conv(x))


class Backbone(nn.Module):
    """Convolutions, poolings and the first two linear layers.

    Args:
        model: Widen factor; ``same_padding`` pads at the end only and in all poolings, as TensorFlow does.
        clip: Channels, frames, height and width of the input: they decide how wide fc6 is.
    """

    def __init__(self, model: C3dOptions, clip: Clip) -> None:
        super().__init__()
        narrow, double, wide, widest = (scaled(width, model.widen_factor) for width in (64, 128, 256, 512))
        same = model.same_padding
        self.conv1a = ConvRelu(clip[0], narrow)
        self.pool1 = nn.MaxPool3d((1, 2, 2), ceil_mode=same)
        self.conv2a = ConvRelu(narrow, double)
        self.pool2 = nn.MaxPool3d(2, ceil_mode=same)
        self.conv3a = ConvRelu(double, wide)
        self.conv3b = ConvRelu(wide, wide)
        self.pool3 = nn.MaxPool3d(2, ceil_mode=same)
        self.conv4a = ConvRelu(wide, widest)
        self.conv4b = ConvRelu(widest, widest)
        self.pool4 = nn.MaxPool3d(2, ceil_mode=same)
        self.conv5a = ConvRelu(widest, widest)
        self.conv5b = ConvRelu(widest, widest)
        # On 7x7 both give 4x4, from other windows: TensorFlow pads one row and column at the end, PyTorch at each end.
        self.pool5 = nn.MaxPool3d(2, ceil_mode=True) if same else nn.MaxPool3d(2, padding=(0, 1, 1))
        linear = scaled(_LINEAR, model.widen_factor)
        # On the meta device tensors have shapes and no data.
        with torch.device("meta"):
            size = _pooled_size(self._pools(), clip)
        self.fc6 = nn.Linear(widest * math.prod(size), linear)
        self.fc7 = nn.Linear(linear, linear)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, channels, T, H, W) to (N, width of fc7)."""
        x = self.pool1(self.conv1a(x))
        x = self.pool2(self.conv2a(x))
        x = self.pool3(self.conv3b(self.conv3a(x)))
        x = self.pool4(self.conv4b(self.conv4a(x)))
        x = self.pool5(self.conv5b(self.conv5a(x)))
        return torch.relu(self.fc7(torch.relu(self.fc6(x.flatten(1)))))

    def _pools(self) -> nn.Sequential:
        return nn.Sequential(self.pool1, self.pool2, self.pool3, self.pool4, self.pool5)


class C3d(nn.Module):
    """Backbone and head. The dropout of the training is the identity at inference and is left out.

    Args:
        model: Classes, widen factor and ``same_padding``.
        clip: Channels, frames, height and width of the input.

    Raises:
        RequestError: a factor that leaves no channels.
    """

    def __init__(self, model: C3dOptions, clip: Clip) -> None:
        super().__init__()
        self.backbone = Backbone(model, clip)
        self.cls_head = Head(self.backbone.fc7.out_features, model.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised clips, float (N, channels, T, H, W), to logits, float (N, classes)."""
        return self.cls_head(self.backbone(x))


def _pooled_size(pools: nn.Sequential, clip: Clip) -> torch.Size:
    return pools(torch.empty(1, *clip)).shape[2:]


def _read(state: State) -> Dict[str, Any]:
    factor = len(state["backbone.conv5b.conv.weight"]) / WIDTHS[3]
    return {"widen_factor": factor, "classes": len(state["cls_head.fc_cls.weight"])}


FAMILIES = (
    Family(
        "c3d",
        C3dOptions,
        C3d,
        "a C3D",
        frozenset({"Conv", "Relu", "MaxPool", "Flatten", "Gemm"}),
        {"backbone.conv1a.conv.weight": 5, "backbone.conv5b.conv.weight": 5, "cls_head.fc_cls.weight": 2},
        _read,
        pooled=False,
        untold=("same_padding",),
    ),
)
