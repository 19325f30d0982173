"""From a card's ``[clips]`` to the sampler of a library: (rule, frames, clock) to positions, as each of them says."""

from __future__ import annotations

from fractions import Fraction
from typing import Callable, Dict, List, Tuple

from clip2om.pipeline.card import Clips
from clip2om.preprocess.clock import Clock
from clip2om.preprocess.errors import BadVideoError
from clip2om.preprocess.samplers import mmaction2, pyslowfast, torchvision, videomae
from clip2om.preprocess.samplers.numbers import stepped, within

# Frames that a dense sampler chooses from, as published.
_DENSE = 64
Found = List[Tuple[int, ...]]


def _mmaction2_0x(rule: Clips, count: int, clock: Clock) -> Found:
    starts = mmaction2.starts_0x(count, rule.frames, rule.interval, rule.count, rule.twice)
    return stepped(starts, rule.frames, rule.interval, count, rule.beyond or "loop")


def _mmaction2_1x(rule: Clips, count: int, clock: Clock) -> Found:
    beyond = rule.beyond or "loop"
    if rule.rate:
        found = mmaction2.at_rate_1x(count, clock.fps, rule.frames, rule.interval, rule.count, rule.rate)
        return [within(clip, count, beyond) for clip in found]
    starts = mmaction2.starts_1x(count, rule.frames, rule.interval, rule.count, rule.twice)
    return stepped(starts, rule.frames, rule.interval, count, beyond)


def _mmaction2_dense(rule: Clips, count: int, clock: Clock) -> Found:
    starts = mmaction2.dense_starts(count, rule.count, rule.positions, rule.span or _DENSE)
    return stepped(starts, rule.frames, rule.interval, count, "loop")


def _segments(rule: Clips, count: int, clock: Clock) -> Found:
    return _joined(mmaction2.starts_0x(count, 1, 1, rule.frames, rule.twice), rule.frames)


def _segments_dense(rule: Clips, count: int, clock: Clock) -> Found:
    return _joined(mmaction2.dense_starts(count, rule.frames, rule.positions, rule.span or _DENSE), rule.frames)


def _segments_val(rule: Clips, count: int, clock: Clock) -> Found:
    return _segments(rule, count, clock) if count > rule.frames else [(0,) * rule.frames]


def _joined(frames: List[int], length: int) -> Found:
    return [tuple(frames[first : first + length]) for first in range(0, len(frames), length)]


def _pyslowfast(rule: Clips, count: int, clock: Clock) -> Found:
    numbers = (rule.frames, rule.interval, rule.count, rule.rate)
    if rule.sampler == "pyslowfast-2020":
        return pyslowfast.views_2020(count, clock.fps, *numbers)
    return pyslowfast.views(count, clock.fps, *numbers, offset=rule.sampler == "pyslowfast-offset")


def _pytorchvideo(rule: Clips, count: int, clock: Clock) -> Found:
    *starts, duration = clock.times(count)
    # As a fraction: the noise of 2.1333… seconds would move frames.
    clip = Fraction(rule.frames * rule.interval) / Fraction(rule.rate).limit_denominator(100_000)
    if rule.sampler == "pytorchvideo":
        times = pyslowfast.constant_times(duration, clip, rule.count)
    else:
        times = pyslowfast.uniform_times(duration, clip, clip)
    return pyslowfast.timed_clips(starts, times, rule.frames)


def _torchvision(rule: Clips, count: int, clock: Clock) -> Found:
    every = clock.resampled(count, rule.rate) if rule.rate else list(range(count))
    if len(every) < rule.frames:
        if rule.beyond != "hold":
            at = f" at {rule.rate:g} frames/s" if rule.rate else ""
            raise BadVideoError(
                f"has {len(every)} frames{at}, a clip takes {rule.frames}; --set clips.beyond=hold repeats the last"
            )
        every = (every or [0]) + [(every or [0])[-1]] * (rule.frames - max(len(every), 1))
    windows = torchvision.windows_of(len(every), rule.frames)
    starts = torchvision.sampled_windows(windows, rule.count)
    return [tuple(every[start : start + rule.frames]) for start in starts]


RULES: Dict[str, Callable[[Clips, int, Clock], Found]] = {
    "mmaction2-0x": _mmaction2_0x,
    "mmaction2-1x": _mmaction2_1x,
    "mmaction2-dense": _mmaction2_dense,
    "mmaction2-uniform": lambda rule, count, clock: mmaction2.uniform(count, rule.frames, rule.count),
    "mmaction2-untrimmed": lambda rule, count, clock: mmaction2.untrimmed(count, rule.frames, rule.stride),
    "segments": _segments,
    "segments-dense": _segments_dense,
    "segments-val": _segments_val,
    "pyslowfast": _pyslowfast,
    "pyslowfast-offset": _pyslowfast,
    "pyslowfast-2020": _pyslowfast,
    "pyslowfast-segments": lambda rule, count, clock: pyslowfast.segments(count, rule.frames),
    "pytorchvideo": _pytorchvideo,
    "pytorchvideo-uniform": _pytorchvideo,
    "torchvision": _torchvision,
    "videomae": lambda rule, count, clock: videomae.clips_of(count, rule.frames, rule.interval, rule.count),
    "videomae-segments": lambda rule, count, clock: videomae.interleaved(count, rule.frames),
}
