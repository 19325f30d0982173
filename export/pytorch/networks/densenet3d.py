"""The 3D-ResNets family ``densenet``: each layer appends its channels to those of all layers before it.

Huang et al., "Densely Connected Convolutional Networks", CVPR 2017 (DenseNet-BC), with 3-D convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip2om.export.pytorch.family import Clip, Family, State, depth_of, stem_width
from clip2om.export.pytorch.pooling import GlobalPool
from clip2om.export.pytorch.residual import (
    UNTOLD,
    StemOptions,
    check_stem,
    conv1x1x1,
    conv3x3x3,
    make_stem,
    refuse_depth,
    scaled,
)

DENSENET_DEPTHS: Dict[int, Tuple[int, ...]] = {
    121: (6, 12, 24, 16),
    169: (6, 12, 32, 32),
    201: (6, 12, 48, 32),
    264: (6, 12, 64, 48),
}
STEM = 64
GROWTH = 32
_BOTTLENECK = 4


@dataclass(frozen=True)
class DenseOptions(StemOptions):
    """Those of the stem; ``widen_factor`` multiplies stem and growth."""

    depth: int = 121


class DenseLayer(nn.Module):
    """Activated 1x1x1 and 3x3x3 convolutions whose ``growth`` channels follow the input's."""

    def __init__(self, in_width: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm3d(in_width)
        self.conv1 = conv1x1x1(in_width, _BOTTLENECK * growth)
        self.norm2 = nn.BatchNorm3d(_BOTTLENECK * growth)
        self.conv2 = conv3x3x3(_BOTTLENECK * growth, growth)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, in_width + growth, T, H, W)."""
        new = self.conv1(self.relu(self.norm1(x)))
        new = self.conv2(self.relu(self.norm2(new)))
        return torch.cat([x, new], 1)


class Transition(nn.Module):
    """Half the channels, half the extents."""

    def __init__(self, in_width: int, out_width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm3d(in_width)
        self.relu = nn.ReLU(inplace=True)
        self.conv = conv1x1x1(in_width, out_width)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, out_width, T // 2, H // 2, W // 2)."""
        x = self.conv(self.relu(self.norm(x)))
        # There is no padding to count, and ATC does not take the attribute count_include_pad.
        return F.avg_pool3d(x, kernel_size=2, stride=2, count_include_pad=False)


class DenseNet3d(nn.Module):
    """Stem, four dense blocks with transitions between them, pooling over time and space, linear classifier.

    Args:
        model: Depth, stem, classes and widen factor, which multiplies stem and growth.
        clip: Channels, frames, height and width of the input; this class reads the channels only.

    Attributes:
        features: All layers before the last activation, under the names of the checkpoints.
        avgpool: Maps features (N, C, T, H, W) to (N, C); has no weights and may be replaced.

    Raises:
        RequestError: a depth that is not in :data:`DENSENET_DEPTHS`, or an option that gives no network.
    """

    def __init__(self, model: DenseOptions, clip: Clip) -> None:
        super().__init__()
        if model.depth not in DENSENET_DEPTHS:
            raise refuse_depth(model.depth, list(DENSENET_DEPTHS))
        check_stem(model)
        growth = scaled(GROWTH, model.widen_factor)
        width = model.stem_width or scaled(STEM, model.widen_factor)
        self.features = nn.Sequential()
        self.features.add_module("conv1", make_stem(model, clip[0], width))
        self.features.add_module("norm1", nn.BatchNorm3d(width))
        self.features.add_module("relu1", nn.ReLU(inplace=True))
        if not model.no_max_pool:
            self.features.add_module("pool1", nn.MaxPool3d(kernel_size=3, stride=2, padding=1))
        for number, count in enumerate(DENSENET_DEPTHS[model.depth], 1):
            if number > 1:
                self.features.add_module(f"transition{number - 1}", Transition(width, width // 2))
                width //= 2
            self.features.add_module(f"denseblock{number}", _dense_block(width, growth, count))
            width += count * growth
        self.features.add_module("norm5", nn.BatchNorm3d(width))
        self.avgpool: nn.Module = GlobalPool()
        self.classifier = nn.Linear(width, model.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised clips, float (N, channels, T, H, W), to logits, float (N, classes)."""
        return self.classifier(self.avgpool(F.relu(self.features(x))))


def _dense_block(width: int, growth: int, count: int) -> nn.Sequential:
    block = nn.Sequential()
    for number in range(count):
        block.add_module(f"denselayer{number + 1}", DenseLayer(width + number * growth, growth))
    return block


def _read(state: State) -> Dict[str, Any]:
    stem, options = state["features.conv1.weight"], depth_of(DENSENET_DEPTHS, state, "features.denseblock")
    factor = len(state["features.denseblock1.denselayer1.conv2.weight"]) / GROWTH
    return {
        **options,
        "widen_factor": factor,
        "stem_width": stem_width(len(stem), STEM, factor),
        "conv1_t_size": stem.shape[2],
        "classes": len(state["classifier.weight"]),
    }


FAMILIES = (
    Family(
        "densenet",
        DenseOptions,
        DenseNet3d,
        "a 3D DenseNet",
        frozenset({"Conv", "BatchNormalization", "Relu", "Concat", "MaxPool", "AveragePool", "Gemm"}),
        {"features.conv1.weight": 5, "features.denseblock1.denselayer1.conv2.weight": 5, "classifier.weight": 2},
        _read,
        arch="densenet",
        untold=UNTOLD,
    ),
)
