"""Arithmetic that the samplers share: PyTorch's linspace, and what is shown beyond the end of a video."""

from __future__ import annotations

import math
from typing import List, Sequence, Tuple

import numpy as np

# Stands in a clip for a frame that is all black: what ``zero`` shows beyond the end.
BLACK = -1


def linspace32(start: float, end: float, count: int) -> np.ndarray:
    """Return ``count`` evenly spaced float32 numbers as PyTorch's vectorised CPU kernel computes them.

    Both ends are rounded to float32 first; the upper half is counted from the end, and each product and sum is rounded
    once (fused). Without the fused step one frame in many lengths of 16x5 and 16x4 is another.
    """
    first, last = np.float32(start), np.float32(end)
    if count == 1:
        return np.array([first])
    step = np.float64(np.float32((last - first) / np.float32(count - 1)))
    index = np.arange(count)
    lower = np.float64(first) + step * index
    upper = np.float64(last) - step * (count - 1 - index)
    return np.where(index < count // 2, lower, upper).astype(np.float32)


def spaced(start: float, end: float, length: int, count: int) -> Tuple[int, ...]:
    """Return ``length`` positions from ``start`` to ``end``, both included, clamped to a video of ``count`` frames."""
    return tuple(np.clip(linspace32(start, end, length), 0, count - 1).astype(np.int64).tolist())


def within(positions: Sequence[int], count: int, beyond: str) -> Tuple[int, ...]:
    """Return a clip without positions beyond the end of a video of ``count`` frames.

    Args:
        positions: Ascending positions, the first of which is in the video.
        count: Frames of the video.
        beyond: ``loop`` begins again at the first frame; ``repeat-last`` repeats the last frame that the clip shows
            (mmaction2); ``hold`` the last frame of the video; ``zero`` is black.
    """
    if beyond == "loop":
        return tuple(position % count for position in positions)
    last = {
        "hold": count - 1,
        "repeat-last": max((position for position in positions if position < count), default=count - 1),
        "zero": BLACK,
    }[beyond]
    return tuple(position if position < count else last for position in positions)


def half_even(value: float) -> int:
    """Round to the nearest integer, halves to the even one."""
    return math.floor(value + 0.5) - (value % 2 == 0.5)


def stepped(starts: Sequence[int], length: int, interval: int, count: int, beyond: str) -> List[Tuple[int, ...]]:
    """Return a clip of ``length`` frames, ``interval`` apart, from each start."""
    return [within(range(start, start + length * interval, interval), count, beyond) for start in starts]
