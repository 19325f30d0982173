"""mmaction2's samplers in test mode, of branch 0.x (71a938a) and of 1.x (4d6c934): under one config they differ."""

from __future__ import annotations

from typing import List, Tuple

import numpy as np

from clip2om.preprocess.samplers.numbers import half_even

Clips = List[Tuple[int, ...]]


def starts_0x(count: int, length: int, interval: int, clips: int, twice: bool = False) -> List[int]:
    """``SampleFrames`` of 0.x: clips in the middle of equal parts, all at 0 where the video is shorter than one.

    With ``twice`` the starts of the parts follow; a short video gives ``clips`` of them all the same, as there.
    """
    span = length * interval
    if count < span:
        return [0] * clips
    step = (count - span + 1) / clips
    middle = [int(index * step + step / 2) for index in range(clips)]
    return middle + ([int(index * step) for index in range(clips)] if twice else [])


def starts_1x(count: int, length: int, interval: int, clips: int, twice: bool = False) -> List[int]:
    """``SampleFrames`` of 1.x: the first clip begins at 0, the last one ends at the end, halves to even between.

    With ``twice`` the numbers run on with the same step, past the end (a fault of the original that its figures have).
    """
    if length == 1:
        step = count / clips
        middle = [int(index * step + step / 2) for index in range(clips)]
        return middle + ([int(index * step) for index in range(clips)] if twice else [])
    latest = max(count - ((length - 1) * interval + 1), 0)
    if clips == 1:
        return [latest // 2]
    return [half_even(index * (latest / (clips - 1))) for index in range(2 * clips if twice else clips)]


def at_rate_1x(count: int, fps: float, length: int, interval: int, clips: int, target: float) -> Clips:
    """``SampleFrames`` of 1.x with ``target_fps``: positions may lie beyond the end.

    The span of a clip is not a whole number of frames where ``fps`` is not a multiple of the target.
    """
    span = max(1.0, length * interval * fps / target)
    latest = max(count - span, 0)
    step = latest // (clips - 1) if clips > 1 else 0
    starts = [int(index * step) for index in range(clips)] if clips > 1 else [int(latest // 2)]
    inside = np.linspace(0, span - 1, length).astype(np.int64).tolist()
    return [tuple(start + offset for offset in inside) for start in starts]


def dense_starts(count: int, clips: int, positions: int, sample_range: int) -> List[int]:
    """``DenseSampleFrames``: at each place ``clips`` starts, spread over ``sample_range`` (64) frames, looped."""
    places = max(1, 1 + count - sample_range)
    first = np.linspace(0, places - 1, num=positions, dtype=int).tolist()
    step = sample_range // clips
    return [(start + index * step) % count for start in first for index in range(clips)]


def uniform(count: int, length: int, clips: int) -> Clips:
    """``UniformSample`` of 1.x, which is UniFormer's sampler for Something-Something."""
    step = (count - 1) / length
    found = []
    for number in range(clips):
        offset = int((number + 1) * step / (clips + 1))
        found.append(tuple(half_even(step * index) + offset for index in range(length)))
    return found


def untrimmed(count: int, length: int, distance: int) -> Clips:
    """``UntrimmedSampleFrames``: clips around every ``distance``-th frame, edges held.

    The original has no clip and fails for a video of half a distance or less; here there is one around its middle.
    """
    centres = list(range(distance // 2, count, distance)) or [count // 2]
    low = length // 2
    return [
        tuple(min(max(position, 0), count - 1) for position in range(centre - low, centre - low + length))
        for centre in centres
    ]
