"""TSN and TSM: a ResNet of images on each frame, under the names of mmaction2.

Wang et al., "Temporal Segment Networks", ECCV 2016; Lin et al., "TSM: Temporal Shift Module for Efficient Video
Understanding", ICCV 2019. TSN averages features over the frames, TSM logits over the segments, between which it shifts
channels before the first convolution of a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip2om.export.pytorch.convmodule import DEPTHS, EXPANSION, WIDTHS, ConvBn, Head, conv2d
from clip2om.export.pytorch.family import PLAIN, Clip, Family, State, depth_of
from clip2om.export.pytorch.residual import refuse_depth, scaled
from clip2om.pipeline.errors import RequestError

_OPERATORS = PLAIN | {"MaxPool", "GlobalAveragePool", "Flatten", "Reshape", "Transpose", "ReduceMean"}
# From this many blocks in layer3 on, every second block shifts alone (read in mmaction2 and MIT's code).
_DEEP = 23


@dataclass(frozen=True)
class TsnOptions:
    """Depth, and the factor of all widths."""

    classes: int
    depth: int = 50
    widen_factor: float = 1.0


@dataclass(frozen=True)
class TsmOptions(TsnOptions):
    """``segments``: frames of a view, between which channels move; ``shift_div``: one in so many moves each way."""

    segments: int = 8
    shift_div: int = 8


class Shift(nn.Module):
    """A convolution before which some channels come from the next segment, and as many from the one before.

    Written as slices, a padded frame of zeros and a concatenation: the published ``x - x`` for zeros is three times as
    many nodes. Targets of reshapes are constants, so that the batch axis can stay open.

    Args:
        net: The convolution.
        segments: Frames of a view.
        size: Channels, height and width of what it gets.
        shift_div: One in so many channels moves each way.
    """

    def __init__(self, net: nn.Module, segments: int, size: Tuple[int, int, int], shift_div: int) -> None:
        super().__init__()
        self.net = net
        self.segments, self.size, self.fold = segments, size, size[0] // shift_div

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N * segments, C, H, W) to what the convolution makes of it."""
        x = x.reshape(-1, self.segments, *self.size)
        later = F.pad(x[:, 1:, : self.fold], (0, 0, 0, 0, 0, 0, 0, 1))
        earlier = F.pad(x[:, :-1, self.fold : 2 * self.fold], (0, 0, 0, 0, 0, 0, 1, 0))
        x = torch.cat((later, earlier, x[:, :, 2 * self.fold :]), 2)
        return self.net(x.reshape(-1, *self.size))


class Bottleneck2d(nn.Module):
    """Convolutions 1x1, 3x3 with ``stride``, 1x1, and a shortcut; with ``segments`` the first one shifts."""

    def __init__(
        self, in_width: int, width: int, stride: int, size: Tuple[int, int], segments: int, shift_div: int
    ) -> None:
        super().__init__()
        self.out_width = EXPANSION * width
        self.conv1 = conv2d(in_width, width, 1)
        if segments:
            self.conv1 = ConvBn(Shift(self.conv1.conv, segments, (in_width, *size), shift_div), width)
        self.conv2 = conv2d(width, width, 3, stride)
        self.conv3 = conv2d(width, self.out_width, 1, active=False)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: Optional[nn.Module] = None
        if stride != 1 or in_width != self.out_width:
            self.downsample = conv2d(in_width, self.out_width, 1, stride, active=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, H, W) to (N, 4 * width, H', W')."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(self.conv3(self.conv2(self.conv1(x))) + shortcut)


class ResNet2d(nn.Module):
    """A ResNet of images without its classifier."""

    def __init__(self, options: TsnOptions, clip: Clip, segments: int = 0, shift_div: int = 8) -> None:
        super().__init__()
        if options.depth not in DEPTHS:
            raise refuse_depth(options.depth, list(DEPTHS))
        counts, stem = DEPTHS[options.depth], scaled(WIDTHS[0], options.widen_factor)
        self.conv1 = conv2d(clip[0], stem, 7, 2)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        size, out = _half(_half((clip[2], clip[3]))), stem
        every = 2 if counts[2] >= _DEEP else 1
        for index, count in enumerate(counts):
            blocks = []
            for number in range(count):
                stride = 2 if index and not number else 1
                shifting = segments if number % every == 0 else 0
                width = scaled(WIDTHS[index], options.widen_factor)
                blocks.append(Bottleneck2d(out, width, stride, size, shifting, shift_div))
                size, out = _half(size) if stride == 2 else size, blocks[-1].out_width
            setattr(self, f"layer{index + 1}", nn.Sequential(*blocks))
        self.out_width = out

    def forward(self, x: Tensor) -> Tensor:
        """Map images, float (N, channels, H, W), to their averaged features, float (N, C)."""
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.maxpool(self.conv1(x))))))
        return F.adaptive_avg_pool2d(x, 1).flatten(1)


class Tsn(nn.Module):
    """Features of each frame, their mean over all frames, a classifier."""

    def __init__(self, options: TsnOptions, clip: Clip) -> None:
        super().__init__()
        self.clip = clip
        self.backbone = ResNet2d(options, clip)
        self.cls_head = Head(self.backbone.out_width, options.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised clips, float (N, channels, T, H, W), to logits, float (N, classes)."""
        x = self.backbone(_images(x, self.clip))
        return self.cls_head(x.reshape(-1, self.clip[1], self.backbone.out_width).mean(1))


class Tsm(nn.Module):
    """Features of each segment with shifts between them, a classifier, the mean over the segments.

    Raises:
        RequestError: clips of another number of frames than there are segments, or a divisor that leaves none.
    """

    def __init__(self, options: TsmOptions, clip: Clip) -> None:
        super().__init__()
        if options.segments < 2 or options.shift_div < 2:
            raise RequestError("model.arguments.segments and model.arguments.shift_div are 2 or more")
        if clip[1] != options.segments:
            raise RequestError(
                f"model.arguments.segments is {options.segments}, a clip has {clip[1]} frames",
                todo="a clip is one view of that many frames: set clips.frames and input.shape, or "
                "model.arguments.segments to those of the training; clips.count gives several views",
            )
        self.clip, self.classes = clip, options.classes
        self.backbone = ResNet2d(options, clip, options.segments, options.shift_div)
        self.cls_head = Head(self.backbone.out_width, options.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised clips, float (N, channels, segments, H, W), to logits, float (N, classes)."""
        x = self.cls_head(self.backbone(_images(x, self.clip)))
        return x.reshape(-1, self.clip[1], self.classes).mean(1)


def _images(x: Tensor, clip: Clip) -> Tensor:
    channels, _, height, width = clip
    return x.transpose(1, 2).reshape(-1, channels, height, width)


def _half(size: Tuple[int, int]) -> Tuple[int, int]:
    """Return the extents behind a step of 2 that pads by half its kernel."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def _read(state: State) -> Dict[str, Any]:
    factor = len(state["backbone.conv1.conv.weight"]) / WIDTHS[0]
    classes = len(state["cls_head.fc_cls.weight"])
    return {**depth_of(DEPTHS, state, "backbone.layer"), "widen_factor": factor, "classes": classes}


_HEAD = {"backbone.conv1.conv.weight": 4, "backbone.layer4.0.conv2.conv.weight": 4, "cls_head.fc_cls.weight": 2}
FAMILIES = (
    Family(
        "tsn",
        TsnOptions,
        Tsn,
        "a TSN of mmaction2",
        _OPERATORS,
        {**_HEAD, "backbone.layer1.0.conv1.conv.weight": 4},
        _read,
        pooled=False,
    ),
    Family(
        "tsm",
        TsmOptions,
        Tsm,
        "a TSM of mmaction2",
        _OPERATORS | {"Slice", "Pad", "Concat"},
        {**_HEAD, "backbone.layer1.0.conv1.conv.net.weight": 4},
        _read,
        pooled=False,
        untold=("segments", "shift_div"),
    ),
)
