"""The R(2+1)D-18 and -34 of GluonCV's PyTorch models, whose renamed weights the MindSpore recipe takes.

Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018. The widths between the
convolutions over space and time are those of the released weights: one for each block, from its input, for both pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Tuple

from torch import Tensor, nn

from clip2om.export.pytorch.family import PLAIN, Clip, Family, State, depth_of
from clip2om.export.pytorch.networks.resnet2p1d import middle_width, spatial, temporal
from clip2om.export.pytorch.pooling import GlobalPool
from clip2om.export.pytorch.residual import WIDTHS, make_shortcut, make_stage, refuse_depth, scaled

R2PLUS1D_DEPTHS: Dict[int, Tuple[int, ...]] = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
_STEM = 45


@dataclass(frozen=True)
class R2Plus1dOptions:
    """Depth, and the factor of all widths."""

    classes: int
    depth: int = 34
    widen_factor: float = 1.0


class Pair(nn.Module):
    """A convolution over space, normalised and activated, and one over time."""

    def __init__(self, in_width: int, middle: int, out_width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = spatial(in_width, middle, stride)
        self.bn1 = nn.BatchNorm3d(middle)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = temporal(middle, out_width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, out_width, T', H', W')."""
        return self.conv2(self.relu(self.bn1(self.conv1(x))))


class PairBlock(nn.Module):
    """Two pairs and a shortcut; ``stride`` is on the first."""

    def __init__(self, in_width: int, width: int, stride: int) -> None:
        super().__init__()
        self.out_width = width
        middle = middle_width(in_width, width)
        self.downsample = make_shortcut(in_width, width, stride, "B")
        self.conv1 = Pair(in_width, middle, width, stride)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = Pair(width, middle, width, 1)
        self.bn2 = nn.BatchNorm3d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, width, T', H', W')."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + self.downsample(x))


class R2Plus1d(nn.Module):
    """Stem over space, then time, without max pooling; four stages; pooling over time and space; classifier.

    Args:
        model: Depth, classes and widen factor.
        clip: Channels, frames, height and width of the input; this class reads the channels only.

    Attributes:
        avgpool: Maps features (N, C, T, H, W) to (N, C); has no weights and may be replaced.

    Raises:
        RequestError: a depth that is not in :data:`R2PLUS1D_DEPTHS`, or a factor that leaves no channels.
    """

    def __init__(self, model: R2Plus1dOptions, clip: Clip) -> None:
        super().__init__()
        if model.depth not in R2PLUS1D_DEPTHS:
            raise refuse_depth(model.depth, list(R2PLUS1D_DEPTHS))
        counts = R2PLUS1D_DEPTHS[model.depth]
        widths = [scaled(width, model.widen_factor) for width in WIDTHS]
        middle = scaled(_STEM, model.widen_factor)
        self.conv1 = nn.Conv3d(clip[0], middle, (1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(middle)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = temporal(middle, widths[0])
        self.bn2 = nn.BatchNorm3d(widths[0])
        self.layer1, out = make_stage(PairBlock, widths[0], widths[0], counts[0], 1)
        self.layer2, out = make_stage(PairBlock, out, widths[1], counts[1], 2)
        self.layer3, out = make_stage(PairBlock, out, widths[2], counts[2], 2)
        self.layer4, out = make_stage(PairBlock, out, widths[3], counts[3], 2)
        self.avgpool: nn.Module = GlobalPool()
        self.fc = nn.Linear(out, model.classes)

    def features(self, x: Tensor) -> Tensor:
        """Map clips, float (N, channels, T, H, W), to the output of layer4, float (N, C, T', H', W')."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised clips, float (N, channels, T, H, W), to logits, float (N, classes)."""
        return self.fc(self.avgpool(self.features(x)))


def _read(state: State) -> Dict[str, Any]:
    options: Dict[str, Any] = dict(depth_of(R2PLUS1D_DEPTHS, state))
    options["widen_factor"] = len(state["layer4.0.conv2.conv2.weight"]) / WIDTHS[3]
    return {**options, "classes": len(state["fc.weight"])}


FAMILIES = (
    Family(
        "r2plus1d",
        R2Plus1dOptions,
        R2Plus1d,
        "an R(2+1)D of GluonCV",
        PLAIN,
        {"conv2.weight": 5, "layer1.0.conv1.conv1.weight": 5, "layer4.0.conv2.conv2.weight": 5, "fc.weight": 2},
        _read,
    ),
)
