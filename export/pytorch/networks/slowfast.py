"""SlowFast under the names of mmaction2, with one input: both pathways are cut from the clip in the graph.

Feichtenhofer et al., "SlowFast Networks for Video Recognition", ICCV 2019. PySlowFast and pytorchvideo have the same
convolutions, and beside them a normalised and activated lateral connection, the slow features first in the
classifier, and slow frames that are spread to the last one: ``lateral_norm``, ``head_order`` and ``cut``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Dict, List

import torch
from torch import Tensor, nn

from clip2om.export.pytorch.convmodule import DEPTHS, EXPANSION, WIDTHS, Head, Trunk3d, conv3d
from clip2om.export.pytorch.family import PLAIN, Clip, Family, State, depth_of
from clip2om.export.pytorch.pooling import GlobalPool
from clip2om.export.pytorch.residual import refuse_depth, scaled
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.typed import Rule

_SLOW = ((1,), (1,), (3,), (3,))
_FAST = ((3,), (3,), (3,), (3,))
# The fast path has an eighth of the slow one's channels, and hands over twice as many as it has.
_BETA, _RATIO = 8, 2
# The lateral kernel in time, by the ratio of the frame rates: a convention of the published configurations.
_KERNELS = {4: 7, 8: 5}


def _one_of(*words: str) -> Any:
    return Annotated[str, Rule(lambda word: word in words, " or ".join(words))]


@dataclass(frozen=True)
class SlowFastOptions:
    """What differs between the libraries and their configurations.

    Attributes:
        tau: The slow path takes one frame in so many of the clip.
        alpha: The fast path takes so many as often.
        lateral_kernel: Extent in time of the lateral convolutions; 0 is 7 for alpha 4 and 5 for alpha 8.
        lateral_norm: They are normalised and activated.
        head_order: Whose features come first in the classifier.
        cut: ``stride``: slow frames 0, tau, 2 tau, ...; ``linspace``: spread from the first frame to the last, cut to
            integers, as PySlowFast and pytorchvideo do.
    """

    classes: int
    depth: int = 50
    widen_factor: float = 1.0
    tau: int = 4
    alpha: int = 4
    lateral_kernel: int = 0
    lateral_norm: bool = False
    head_order: _one_of("fast-slow", "slow-fast") = "fast-slow"  # type: ignore[valid-type]
    cut: _one_of("stride", "linspace") = "stride"  # type: ignore[valid-type]


class SlowPath(Trunk3d):
    """The slow path, which takes in what the fast one hands over before each stage."""

    def __init__(self, options: SlowFastOptions, channels: int) -> None:
        width = scaled(WIDTHS[0], options.widen_factor)
        fast = [width // _BETA * times for times in (1, EXPANSION, 2 * EXPANSION, 4 * EXPANSION)]
        super().__init__(channels, width, DEPTHS[options.depth], _SLOW, 1, more=[_RATIO * count for count in fast])
        size, stride = options.lateral_kernel or _KERNELS.get(options.alpha, 5), options.alpha
        for name, count in zip(("conv1", "layer1", "layer2", "layer3"), fast):
            lateral: nn.Module = conv3d(count, _RATIO * count, (size, 1, 1), (stride, 1, 1))
            if not options.lateral_norm:
                lateral = _Bare(lateral.conv)
            setattr(self, f"{name}_lateral", lateral)


class _Bare(nn.Module):
    """A convolution alone, under the name ``conv``."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """Map what the convolution takes to what it gives."""
        return self.conv(x)


class Backbone(nn.Module):
    """Both paths."""

    def __init__(self, options: SlowFastOptions, clip: Clip) -> None:
        super().__init__()
        if options.depth not in DEPTHS:
            raise refuse_depth(options.depth, list(DEPTHS))
        width = scaled(scaled(WIDTHS[0], options.widen_factor), 1 / _BETA)
        self.slow_path = SlowPath(options, clip[0])
        self.fast_path = Trunk3d(clip[0], width, DEPTHS[options.depth], _FAST, 5)
        self.slow, self.fast = _cut(options, clip[1])
        self.tau, self.every, self.cut = options.tau, options.tau // options.alpha, options.cut

    def forward(self, x: Tensor) -> List[Tensor]:
        """Map clips, float (N, channels, T, H, W), to the features of the slow and the fast path."""
        slow, fast = self.slow_path, self.fast_path
        # Indices are plain integers: a traced linspace gives frame 30 in place of 31.
        a = x[:, :, :: self.tau] if self.cut == "stride" else x[:, :, self.slow]
        b = x[:, :, :: self.every] if self.every > 1 else x
        a, b = slow.maxpool(slow.conv1(a)), fast.maxpool(fast.conv1(b))
        for number, before in enumerate(("conv1", "layer1", "layer2", "layer3"), 1):
            a = torch.cat((a, getattr(slow, f"{before}_lateral")(b)), 1)
            a, b = getattr(slow, f"layer{number}")(a), getattr(fast, f"layer{number}")(b)
        return [a, b]


class SlowFast(nn.Module):
    """Both paths, their averages side by side, a classifier.

    Raises:
        RequestError: an option that gives no network, or a number of frames that the paths cannot share.
    """

    def __init__(self, options: SlowFastOptions, clip: Clip) -> None:
        super().__init__()
        self.backbone = Backbone(options, clip)
        self.pool = GlobalPool()
        self.slow_first = options.head_order == "slow-fast"
        width = self.backbone.slow_path.out_width + self.backbone.fast_path.out_width
        self.cls_head = Head(width, options.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised clips, float (N, channels, T, H, W), to logits, float (N, classes)."""
        slow, fast = (self.pool(features) for features in self.backbone(x))
        return self.cls_head(torch.cat((slow, fast) if self.slow_first else (fast, slow), 1))


def _cut(options: SlowFastOptions, frames: int) -> Any:
    """Return the frames of the slow and the fast path."""
    if options.tau < 1 or options.alpha < 1 or options.tau % options.alpha:
        raise RequestError(f"model.arguments.tau {options.tau} is no multiple of model.arguments.alpha {options.alpha}")
    if frames % options.tau:
        raise RequestError(
            f"a clip has {frames} frames, no multiple of model.arguments.tau {options.tau}",
            todo="set clips.frames and input.shape",
        )
    count = frames // options.tau
    if options.cut == "stride":
        return list(range(0, frames, options.tau)), list(range(0, frames, options.tau // options.alpha))
    return [(frames - 1) * index // max(count - 1, 1) for index in range(count)], list(range(frames))


def _read(state: State) -> Dict[str, Any]:
    lateral = state["backbone.slow_path.conv1_lateral.conv.weight"]
    alpha = next((ratio for ratio, size in _KERNELS.items() if size == lateral.shape[2]), 4)
    return {
        **depth_of(DEPTHS, state, "backbone.slow_path.layer"),
        "widen_factor": len(state["backbone.slow_path.conv1.conv.weight"]) / WIDTHS[0],
        # By the convention of the published configurations, in which tau is alpha.
        "tau": alpha,
        "alpha": alpha,
        "lateral_norm": "backbone.slow_path.conv1_lateral.bn.weight" in state,
        "classes": len(state["cls_head.fc_cls.weight"]),
    }


FAMILIES = (
    Family(
        "slowfast",
        SlowFastOptions,
        SlowFast,
        "a SlowFast",
        PLAIN | {"MaxPool", "GlobalAveragePool", "Flatten", "Concat", "Slice", "Gather"},
        {
            "backbone.slow_path.conv1.conv.weight": 5,
            "backbone.slow_path.conv1_lateral.conv.weight": 5,
            "backbone.fast_path.layer4.0.conv2.conv.weight": 5,
            "cls_head.fc_cls.weight": 2,
        },
        _read,
        pooled=False,
        untold=("head_order", "cut"),
    ),
)
