"""The sections of a card that say which frames a clip shows, and how a frame becomes pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

from clip2om.pipeline.typed import later


@dataclass(frozen=True)
class Clips:
    """How frames become clips of ``frames`` frames each; see :mod:`preprocess.sampling` for the rules.

    Attributes:
        sampler: ``windows`` (all of them, ``stride`` frames apart), ``uniform`` (``count`` clips centred in equal parts
            of the video), ``consecutive`` (``count`` clips of neighbouring frames), ``spread`` (``count`` clips whose
            frames are spread over ``span`` frames), or a library's own: see :mod:`pipeline.card_sampling`.
        stride: Frames between the starts of two windows.
        count: Clips per video.
        start: Where clips begin, for ``consecutive`` and ``spread``: ``first``, ``center``, ``even`` (``count`` evenly
            spaced starts) or ``random``.
        seed: Seed of the recipe's generator for ``random``.
        span: Frames over which a clip is spread.
        order: ``numeric``, or ``lexicographic``: frames in the order of their file names, as a recipe read them.
        max_clips: Cuts the clips of one video (0 keeps all): the published 3d_resnet figure needs 10.
        interval: Frames from one frame of a clip to the next.
        rate: Frames per second that videos are resampled to, or that ``interval`` is meant at (0: each video's own).
        beyond: What a clip shows beyond the end of its video: ``loop``, ``repeat-last`` (of the clip), ``hold`` (of the
            video) or ``zero``; empty is the sampler's own way.
        twice: Two clips per place: mmaction2's ``twice_sample``.
        positions: Places of a dense sampler.
    """

    sampler: str
    frames: int
    stride: int = 0
    count: int = 1
    start: str = "center"
    seed: int = 0
    span: int = 0
    order: str = "numeric"
    max_clips: int = 0
    interval: int = later(1)
    rate: float = later(0.0)
    beyond: str = later("")
    twice: bool = later(False)
    positions: int = later(10)


@dataclass(frozen=True)
class Transform:
    """Frame to tensor: resize, centre crop to ``size``, then (x/scale - mean) / std per channel.

    Attributes:
        resize: Target of the resize in pixels.
        rule: ``short`` (shorter side to ``resize``), ``height`` (height to ``resize``), ``box`` (into
            ``long`` x ``resize``) or ``stretch`` (to exactly ``long`` x ``resize``, whatever the aspect).
        long: The other extent of ``box`` and ``stretch``.
        rounding: Of the side that follows: ``truncate``, ``next`` (truncate(x + 1)), ``nearest``, or ``ratio``
            (PySlowFast divides first).
        crop: ``center`` (half a pixel to even), ``center-floor``, ``center-ceil``, or several crops by their original:
            see :mod:`pipeline.card_views`.
        mean_volume: Instead of ``mean``: .npy file of the mean of each value of a clip, float32 (T, H, W, C).
        flip: Each crop is followed by its mirror image.
    """

    resize: int
    size: int
    kernel: str
    crop: str
    color: str
    scale: float
    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    rule: str = "short"
    long: int = 0
    rounding: str = "truncate"
    mean_volume: str = ""
    flip: bool = later(False)
