"""VideoMAE's own test sets (14ef8d8): ``VideoClsDataset`` of Kinetics and ``SSVideoClsDataset``."""

from __future__ import annotations

from typing import List, Tuple

Clips = List[Tuple[int, ...]]


def clips_of(count: int, length: int, interval: int, clips: int) -> Clips:
    """Kinetics: every ``interval``-th frame of the video, filled up with the last of them, and windows of those."""
    every = list(range(0, count, interval))
    every += [every[-1]] * (length - len(every))
    step = max((len(every) - length) / max(clips - 1, 1), 0)
    return [tuple(every[int(index * step) : int(index * step) + length]) for index in range(clips)]


def interleaved(count: int, length: int) -> Clips:
    """Something-Something: middles and beginnings of ``length`` parts sorted together, even places, then odd ones."""
    tick = count / length
    middle = [int(tick / 2.0 + tick * index) for index in range(length)]
    both = sorted([*middle, *(int(tick * index) for index in range(length))])
    return [tuple(both[0::2]), tuple(both[1::2])]
