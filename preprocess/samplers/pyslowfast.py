"""PySlowFast's uniform views (287ec00, and the decoder of 2020 at c22c7c9), and pytorchvideo's clips (f3142bb)."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Dict, List, Sequence, Tuple

from clip2om.preprocess.samplers.numbers import half_even, linspace32, spaced

Clips = List[Tuple[int, ...]]
# Ticks of a frame in a file of 30 frames/s as FFmpeg writes MP4.
_TICKS = 512


def views(count: int, fps: float, length: int, interval: int, clips: int, target: float, offset: bool = False) -> Clips:
    """Views of a whole video: ``length`` frames over ``length`` x ``interval`` frames of the target rate, inclusive.

    View k starts at k / ``clips`` of what is left, so that the last one never reaches the end; with ``offset``
    (USE_OFFSET_SAMPLING of MViT and UniFormer) at whole steps that do.
    """
    starts, span = _starts(count, fps, length, interval, clips, target, offset)
    return [spaced(start, start + span - 1, length, count) for start in starts]


def _starts(
    count: int, fps: float, length: int, interval: int, clips: int, target: float, offset: bool
) -> Tuple[List[float], float]:
    span = max(1.0, length * interval / target * fps)
    left = max(count - span, 0)
    if not offset:
        return [left * index / clips for index in range(clips)], span
    if clips == 1:
        return [left // 2], span
    return [index * (left // (clips - 1)) for index in range(clips)], span


def views_2020(count: int, fps: float, length: int, interval: int, clips: int, target: float) -> Clips:
    """Views as the decoder of 2020 reads them from files whose duration it knows: starts are rounded up to a frame."""
    starts, span = _starts(count, fps, length, interval, clips, target, False)
    found = []
    for start in starts:
        begin, end = math.floor(start * _TICKS), math.floor((start + span - 1) * _TICKS)
        first, last = -(-begin // _TICKS), min(end // _TICKS + 1, count - 1)
        inside = spaced(0, span - 1, length, last - first + 1)
        found.append(tuple(first + position for position in inside))
    return found


def segments(count: int, length: int) -> Clips:
    """The Something-Something loader: a frame in the middle of each of ``length`` parts."""
    step = (count - 1) / length
    return [tuple((half_even(step * i) + half_even(step * (i + 1))) // 2 for i in range(length))]


def pathway(length: int, alpha: int) -> Tuple[int, ...]:
    """Return which frames of a clip the slow path of PySlowFast and pytorchvideo takes: 0 10 20 31 of 32 for 8."""
    return tuple(linspace32(0, length - 1, length // alpha).astype(int).tolist())


def subsampled(count: int, length: int) -> Tuple[int, ...]:
    """Return pytorchvideo's ``UniformTemporalSubsample`` of ``count`` frames; more than there are repeat."""
    return spaced(0, count - 1, length, count)


def constant_times(duration: Fraction, clip: Fraction, clips: int) -> List[Tuple[Fraction, Fraction]]:
    """Return begin and end of ``ConstantClipsPerVideoSampler``'s clips in seconds: the last one ends at the end."""
    step = max(duration - clip, Fraction(0)) / max(clips - 1, 1)
    return [(index * step, index * step + clip) for index in range(clips)]


def uniform_times(
    duration: Fraction, clip: Fraction, stride: Fraction, backpad_last: bool = False
) -> List[Tuple[Fraction, Fraction]]:
    """Return begin and end of ``UniformClipSampler``'s clips in seconds: at least one, the next while it ends in time.

    With ``backpad_last`` one more is there that ends at the end.
    """
    found = [(Fraction(0), clip)]
    while True:
        begin = found[-1][0] + stride
        if begin + clip > duration + Fraction(1, 1_000_000):
            break
        found.append((begin, begin + clip))
    if backpad_last and found[-1][1] < duration:
        found.append((duration - clip, duration))
    return found


def shown_between(starts: Sequence[Fraction], begin: Fraction, end: Fraction) -> Tuple[int, int]:
    """Return the first frame and the last one + 1 that begin in [begin, end), by bisection of ascending ``starts``."""
    from bisect import bisect_left

    return bisect_left(starts, begin), bisect_left(starts, end)


def timed_clips(starts: Sequence[Fraction], times: Sequence[Tuple[Fraction, Fraction]], length: int) -> Clips:
    """Return ``length`` frames of each clip that is given by its times; one that shows no frame has the nearest."""
    known: Dict[int, Tuple[int, ...]] = {}
    found = []
    for begin, end in times:
        first, last = shown_between(starts, begin, end)
        first = min(first, len(starts) - 1)
        size = max(last - first, 1)
        inside = known.setdefault(size, subsampled(size, length))
        found.append(tuple(first + position for position in inside))
    return found
