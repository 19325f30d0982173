"""The 3D-ResNets families ``resnet``, ``wideresnet`` and ``resnext``: one bottleneck of three proportions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Tuple

from torch import Tensor, nn

from clip2om.export.pytorch.family import Clip, Family, State, stem_width
from clip2om.export.pytorch.residual import (
    POOLED_STEM,
    UNTOLD,
    WIDTHS,
    MakeBlock,
    ResidualNet,
    ResidualOptions,
    conv1x1x1,
    conv3x3x3,
    make_shortcut,
    read_residual,
    refuse_depth,
    scaled,
)
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
# What the ResNets of this module share with their relatives: :func:`kind_of` tells them apart.
LANDMARKS = {
    "conv1.weight": 5,
    "layer1.0.conv1.weight": 5,
    "layer1.0.conv2.weight": 5,
    "layer2.0.conv1.weight": 5,
    "layer2.0.bn1.weight": 1,
    "layer4.0.conv2.weight": 5,
    "fc.weight": 2,
}


@dataclass(frozen=True)
class ResNet3dOptions(ResidualOptions):
    """``same_padding`` pads the max pooling at the end only, as MindSpore does, where PyTorch pads both ends."""

    same_padding: bool = False


@dataclass(frozen=True)
class WideOptions(ResidualOptions):
    """``wide_resnet_k`` multiplies the widths within the blocks."""

    wide_resnet_k: int = 2


@dataclass(frozen=True)
class ResNextOptions(ResidualOptions):
    """``cardinality`` is the number of groups of the middle convolutions."""

    depth: int = 101
    cardinality: int = 32


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


def resnet3d(model: ResNet3dOptions, clip: Clip) -> ResidualNet:
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


def wideresnet(model: WideOptions, clip: Clip) -> ResidualNet:
    """Return the wide 3D ResNet: bottlenecks ``model.wide_resnet_k`` times as wide, widened by 2 at their end.

    Raises:
        RequestError: a depth or an option that gives no network.
    """
    if model.depth not in BOTTLENECK_DEPTHS:
        raise refuse_depth(model.depth, list(BOTTLENECK_DEPTHS))
    if model.wide_resnet_k < 1:
        raise RequestError(f"model.arguments.wide_resnet_k is {model.wide_resnet_k}, expected 1 or more")
    widths = [scaled(width * model.wide_resnet_k, model.widen_factor) for width in WIDTHS]

    def bottleneck(in_width: int, width: int, stride: int) -> nn.Module:
        return Bottleneck(in_width, width, EXPANSION * width, stride, model.shortcut)

    return ResidualNet(model, clip, bottleneck, BOTTLENECK_DEPTHS[model.depth], widths)


def resnext(model: ResNextOptions, clip: Clip) -> ResidualNet:
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
            f"model.arguments.cardinality {groups} and model.arguments.widen_factor {model.widen_factor} give no whole "
            "channels per group",
            todo="use 1 or more groups, and widths that are multiples of 32: 0.25, 0.5, 0.75, 1, ...",
        )

    def bottleneck(in_width: int, width: int, stride: int) -> nn.Module:
        return Bottleneck(in_width, groups * width // 32, EXPANSION * width, stride, model.shortcut, groups)

    return ResidualNet(model, clip, bottleneck, BOTTLENECK_DEPTHS[model.depth], widths)


def kind_of(state: State) -> str:
    """Return which of the networks that share :data:`LANDMARKS` a state dict belongs to."""
    if len(state["layer2.0.bn1.weight"]) != len(state["layer2.0.conv1.weight"]):
        return "preresnet"
    narrow = state["layer1.0.conv2.weight"]
    if narrow.shape[1] != len(state["layer1.0.conv1.weight"]):
        return "resnext"
    kernels = [state[f"layer{stage}.0.conv1.weight"].shape[2:] for stage in (1, 2)]
    if kernels == [(3, 3, 3), (1, 3, 3)]:
        return "mc3"
    wide = state.get("layer1.0.conv3.weight", narrow)
    return "wideresnet" if wide.shape[:1] == (2 * len(narrow),) else "resnet3d"


def depths_of(state: State) -> Dict[int, Tuple[int, ...]]:
    """Return the depths with the blocks that a state dict has."""
    return BOTTLENECK_DEPTHS if "layer1.0.conv3.weight" in state else BASIC_DEPTHS


def _read(state: State) -> Dict[str, Any]:
    return read_residual(state, depths_of(state))


def _read_wide(state: State) -> Dict[str, Any]:
    options, width = _read(state), len(state["layer4.0.conv2.weight"])
    # Both multiply: a whole multiple of the plain widths is taken for the factor of the family.
    times = max(width // WIDTHS[3], 1) if width % WIDTHS[3] == 0 else 2
    factor = width / WIDTHS[3] / times
    stem = stem_width(len(state["conv1.weight"]), WIDTHS[0] * times, factor)
    return {**options, "wide_resnet_k": times, "widen_factor": factor, "stem_width": stem}


def _read_resnext(state: State) -> Dict[str, Any]:
    grouped = state["layer4.0.conv2.weight"]
    factor = len(state["layer4.0.conv3.weight"]) / 2 / RESNEXT_WIDTHS[3]
    stem = stem_width(len(state["conv1.weight"]), RESNEXT_WIDTHS[0], factor)
    groups = len(grouped) // grouped.shape[1]
    return {**_read(state), "cardinality": groups, "widen_factor": factor, "stem_width": stem}


FAMILIES = (
    Family(
        "resnet3d",
        ResNet3dOptions,
        resnet3d,
        "a 3D ResNet",
        POOLED_STEM,
        LANDMARKS,
        _read,
        lambda state: kind_of(state) == "resnet3d",
        "resnet",
        untold=(*UNTOLD, "same_padding"),
    ),
    Family(
        "wideresnet",
        WideOptions,
        wideresnet,
        "a wide 3D ResNet",
        POOLED_STEM,
        LANDMARKS,
        _read_wide,
        lambda state: kind_of(state) == "wideresnet",
        "wideresnet",
        untold=UNTOLD,
    ),
    Family(
        "resnext",
        ResNextOptions,
        resnext,
        "a 3D ResNeXt",
        POOLED_STEM,
        LANDMARKS,
        _read_resnext,
        lambda state: kind_of(state) == "resnext",
        "resnext",
        untold=UNTOLD,
    ),
)
