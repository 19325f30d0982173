"""torchvision's ``VideoClips`` and ``UniformClipSampler`` (0.28.0): videos at a rate, then windows of them."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import List, Sequence, Tuple

import numpy as np

from clip2om.preprocess.samplers.numbers import linspace32

Clips = List[Tuple[int, ...]]


def resampled(count: int, fps: float, target: float) -> List[int]:
    """Return which frames make ``target`` frames per second of a video of a constant rate ``fps``.

    A whole step takes every k-th frame to the end; any other one cuts the last part of a frame's time off.
    """
    step = fps / target
    if step.is_integer():
        return list(range(0, count, int(step)))
    wanted = math.floor(count * (target / fps))
    exact = np.arange(wanted, dtype=np.float32) * np.float32(step)
    return np.minimum(exact.astype(np.int64), count - 1).tolist()


def resampled_by_stamps(starts: Sequence[float], end: float, target: float) -> List[int]:
    """Return which frame is on the screen at 0, 1 / ``target``, 2 / ``target`` … seconds, before ``end``.

    Args:
        starts: When each frame is shown, in seconds from the first one on, ascending.
        end: When the last frame is gone.
        target: Frames per second that are wanted.
    """
    wanted = max(math.ceil(end * target - 1e-6), 1)
    # A stamp is rounded to its container's clock, which may be a thousandth of a second.
    return [bisect_right(starts, index / target + 5e-4) - 1 for index in range(wanted)]


def windows_of(count: int, length: int) -> int:
    """Return how many windows of ``length`` frames, a frame apart, fit into ``count``; 0 where the video is shorter."""
    return max(count - length + 1, 0)


def sampled_windows(windows: int, clips: int) -> List[int]:
    """Return the numbers of ``clips`` windows: evenly spaced from the first to the last, floored; one is the first."""
    return np.floor(linspace32(0, windows - 1, clips)).astype(int).tolist()
