"""The skeleton that five of the 3D-ResNets families share: stem, four stages of residual blocks, pooling, classifier.

Hara et al., "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?", CVPR 2018. The modules carry
the names that trained checkpoints use, and only operations that export to plain ONNX nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Callable, Dict, Mapping, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip2om.export.pytorch.family import PLAIN, Clip, State, depth_of, stem_width
from clip2om.export.pytorch.pooling import GlobalPool
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.typed import Rule

WIDTHS = (64, 128, 256, 512)
# Input width, width of the stage and stride; the block says its output width as ``out_width``.
MakeBlock = Callable[[int, int, int], nn.Module]
# What the graph of a network with a max pooling behind its stem consists of.
POOLED_STEM = PLAIN | {"MaxPool"}
# What leaves no trace in the weights of one.
UNTOLD = ("no_max_pool", "conv1_t_stride")
Shortcut = Annotated[str, Rule(lambda kind: kind in ("A", "B"), "A or B")]


@dataclass(frozen=True)
class StemOptions:
    """Parameters of a stem and the depth behind it; ``stem_width`` 0 is as wide as the first stage."""

    classes: int
    depth: int = 50
    widen_factor: float = 1.0
    stem_width: int = 0
    conv1_t_size: int = 7
    conv1_t_stride: int = 1
    no_max_pool: bool = False


@dataclass(frozen=True)
class ResidualOptions(StemOptions):
    """Parameters of the residual families: the kind of their shortcuts beside those of the stem."""

    shortcut: Shortcut = "B"


class ResidualNet(nn.Module):
    """Stem, four stages, pooling over time and space, linear classifier.

    Args:
        model: Parameters of the stem and the number of classes.
        clip: Channels, frames, height and width of the input; this class reads the channels only.
        make_block: Makes one block.
        counts: Blocks of each stage.
        widths: Width of each stage; the first is also the stem's, unless ``model.stem_width`` says another.

    Attributes:
        maxpool: The stem's pooling; has no weights and may be replaced.
        avgpool: Maps features (N, C, T, H, W) to (N, C); has no weights and may be replaced.

    Raises:
        RequestError: a stem that is none.
    """

    def __init__(
        self, model: StemOptions, clip: Clip, make_block: MakeBlock, counts: Sequence[int], widths: Sequence[int]
    ) -> None:
        super().__init__()
        stem = model.stem_width or widths[0]
        check_stem(model)
        self.add_stem(model, clip[0], stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if model.no_max_pool else nn.MaxPool3d(kernel_size=3, stride=2, padding=1)
        self.layer1, out = make_stage(make_block, stem, widths[0], counts[0], 1)
        self.layer2, out = make_stage(make_block, out, widths[1], counts[1], 2)
        self.layer3, out = make_stage(make_block, out, widths[2], counts[2], 2)
        self.layer4, out = make_stage(make_block, out, widths[3], counts[3], 2)
        self.avgpool: nn.Module = GlobalPool()
        self.fc = nn.Linear(out, model.classes)

    def add_stem(self, model: StemOptions, channels: int, width: int) -> None:
        """Add the modules that :meth:`stem` runs, under the names of the checkpoints."""
        self.conv1 = make_stem(model, channels, width)
        self.bn1 = nn.BatchNorm3d(width)

    def stem(self, x: Tensor) -> Tensor:
        """Map clips, float (N, channels, T, H, W), to what the first max pooling takes."""
        return self.relu(self.bn1(self.conv1(x)))

    def features(self, x: Tensor) -> Tensor:
        """Map clips, float (N, channels, T, H, W), to the output of layer4, float (N, C, T', H', W')."""
        x = self.maxpool(self.stem(x))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised clips, float (N, channels, T, H, W), to logits, float (N, classes)."""
        return self.fc(self.avgpool(self.features(x)))


class PaddedIdentity(nn.Module):
    """Shortcut type A: every ``stride``-th sample, then zero channels after the existing ones.

    Written as a 1x1x1 convolution with the constant weight [identity; zeros], which is exact and exports to one Conv.
    A padded slice takes more nodes, and the published code freezes the example's residual into the graph. The weight
    is no parameter: it is not in the state dict.
    """

    weight: Tensor

    def __init__(self, in_width: int, out_width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.register_buffer("weight", torch.eye(out_width, in_width)[:, :, None, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, out_width, ceil(T / stride), ...)."""
        return F.conv3d(x, self.weight, stride=self.stride)


def make_stage(make_block: MakeBlock, in_width: int, width: int, count: int, stride: int) -> Tuple[nn.Sequential, int]:
    """Return ``count`` blocks, the first with ``stride``, and their output width."""
    blocks = [make_block(in_width, width, stride)]
    out_width = int(blocks[0].out_width)
    blocks += [make_block(out_width, width, 1) for _ in range(count - 1)]
    return nn.Sequential(*blocks), out_width


def make_stem(model: StemOptions, channels: int, width: int) -> nn.Conv3d:
    """Return the first convolution: t x 7 x 7 with stride 2 in space, no bias."""
    size = model.conv1_t_size
    return nn.Conv3d(
        channels,
        width,
        kernel_size=(size, 7, 7),
        stride=(model.conv1_t_stride, 2, 2),
        padding=(size // 2, 3, 3),
        bias=False,
    )


def conv3x3x3(in_width: int, out_width: int, stride: int = 1, groups: int = 1) -> nn.Conv3d:
    """Return a 3x3x3 convolution with padding 1 and no bias."""
    return nn.Conv3d(in_width, out_width, kernel_size=3, stride=stride, padding=1, groups=groups, bias=False)


def conv1x1x1(in_width: int, out_width: int, stride: int = 1) -> nn.Conv3d:
    """Return a 1x1x1 convolution without padding and bias."""
    return nn.Conv3d(in_width, out_width, kernel_size=1, stride=stride, bias=False)


def make_shortcut(in_width: int, out_width: int, stride: int, kind: str) -> nn.Module:
    """Return a block's shortcut: the identity where the shape stays, else type ``A`` or ``B``."""
    if stride == 1 and in_width == out_width:
        return nn.Identity()
    if kind == "A":
        return PaddedIdentity(in_width, out_width, stride)
    return nn.Sequential(conv1x1x1(in_width, out_width, stride), nn.BatchNorm3d(out_width))


def scaled(width: int, factor: float) -> int:
    """Return a width times ``widen_factor``, cut to an integer.

    Raises:
        RequestError: nothing is left of it.
    """
    if int(width * factor) < 1:
        raise RequestError(
            f"model.arguments.widen_factor {factor} leaves a layer of {width} without channels",
            todo=f"use 1/{width} or more",
        )
    return int(width * factor)


def check_stem(model: StemOptions) -> None:
    """Refuse a stem without extent.

    Raises:
        RequestError: naming the entries.
    """
    size, stride = model.conv1_t_size, model.conv1_t_stride
    if size < 1 or stride < 1:
        raise RequestError(
            f"model.arguments.conv1_t_size is {size}, model.arguments.conv1_t_stride is {stride}, expected 1 or more"
        )
    if model.stem_width < 0:
        raise RequestError(f"model.arguments.stem_width is {model.stem_width}, expected 0 (the family's own) or more")


def refuse_depth(depth: int, known: Sequence[int]) -> RequestError:
    """Return the error for a depth that a family does not have."""
    return RequestError(f"model.arguments.depth is {depth}, expected one of: {', '.join(map(str, known))}")


def read_residual(
    state: State, depths: Mapping[int, Tuple[int, ...]], stem: str = "conv1.weight", last: str = "layer4.0.conv2.weight"
) -> Dict[str, Any]:
    """Return the options that a state dict of these families shows, with the widths of plain blocks."""
    options: Dict[str, Any] = dict(depth_of(depths, state))
    options["shortcut"] = "B" if "layer2.0.downsample.0.weight" in state else "A"
    options["widen_factor"] = len(state[last]) / WIDTHS[3]
    options["stem_width"] = stem_width(len(state[stem]), WIDTHS[0], options["widen_factor"])
    options["conv1_t_size"] = state[stem].shape[2]
    options["classes"] = len(state["fc.weight"])
    return options
