"""Which frames make a clip: pure arithmetic over frame numbers.

A clip is the tuple of the frame numbers that it shows, in the order in which the network sees them; a frame that is
black, beyond the end of a video, has the number -1.
"""

from __future__ import annotations

import random
from typing import List, Sequence, Tuple

import numpy as np

from clip2om.pipeline.card import Clips
from clip2om.preprocess import protocols
from clip2om.preprocess.clock import NO_CLOCK, Clock
from clip2om.preprocess.samplers.numbers import BLACK

Clip = Tuple[int, ...]


class Sampler:
    """The sampling rule of a card.

    It is asked for one video after the other, because the recipes seed their generator once and draw a start per video.
    """

    def __init__(self, rule: Clips, frame_name: str) -> None:
        """Seed the generators.

        Args:
            rule: Section [clips] of the card.
            frame_name: Format of the frames' file names, by which ``order`` lexicographic sorts.
        """
        self._rule = rule
        self._frame_name = frame_name
        self._python = random.Random(rule.seed)
        self._numpy = np.random.RandomState(rule.seed)

    def clips(self, first: int, end: int, clock: Clock = NO_CLOCK) -> List[Clip]:
        """Return the clips of the next video: all windows of it, or ``count`` clips.

        Args:
            first: Number of its first frame.
            end: Number of its last frame + 1; more than ``first``.
            clock: When its frames are shown, for rules with a rate.

        Raises:
            BadVideoError: it has no clip by this rule, or nobody tells its rate.
        """
        numbers: Sequence[int] = range(first, end)
        if self._rule.order == "lexicographic":
            numbers = sorted(numbers, key=self._frame_name.format)
        return [
            tuple(position if position == BLACK else numbers[position] for position in clip)
            for clip in self._positions(end - first, clock)
        ]

    def _positions(self, count: int, clock: Clock) -> List[Clip]:
        rule = self._rule
        chosen = protocols.RULES.get(rule.sampler)
        if chosen is not None:
            return chosen(rule, count, clock)
        if not rule.rate:
            return self._plain(count)
        every = clock.resampled(count, rule.rate) or [0]
        return [tuple(every[position] for position in clip) for clip in self._plain(len(every))]

    def _plain(self, count: int) -> List[Clip]:
        rule = self._rule
        if rule.sampler == "windows":
            return windows(count, rule.frames, rule.stride)
        if rule.sampler == "uniform":
            return [_cyclic(start, count, rule.frames) for start in uniform_starts(count, rule.frames, rule.count)]
        if rule.sampler == "consecutive":
            return [held(start, count, rule.frames) for start in self._consecutive_starts(count)]
        return [spread(start, count, rule.frames, rule.span) for start in self._spread_starts(count)]

    def _consecutive_starts(self, count: int) -> List[int]:
        latest = count - self._rule.frames
        if latest < 0 or self._rule.start != "random":
            return fixed_starts(self._rule.start, max(latest, 0), self._rule.count)
        # The c3d_tf recipe: Python's generator, one inclusive draw per video that is long enough.
        return [self._python.randint(0, latest)]

    def _spread_starts(self, count: int) -> List[int]:
        span = self._rule.span
        if count <= span or self._rule.start != "random":
            return fixed_starts(self._rule.start, max(count - span, 0), self._rule.count)
        # The r2plus1d recipe: NumPy's legacy generator draws the end from span..count-1, so the last frame is never
        # shown. A range of one value draws nothing.
        return [int(self._numpy.randint(span, count)) - span]


def windows(count: int, length: int, stride: int) -> List[Clip]:
    """Cut ``count`` frames into windows of ``length`` that start ``stride`` apart; positions count from 0.

    The first window that reaches over the end is cut there, repeated cyclically to full length, and is the last one
    (3d_resnet recipe, 3D-ResNets-PyTorch commit 540a0ea). With stride = length that is ceil(count / length) windows.
    """
    found = []
    for start in range(0, count, stride):
        shown = min(length, count - start)
        found.append(tuple(start + index % shown for index in range(length)))
        if shown < length:
            break
    return found


def uniform_starts(count: int, length: int, clips: int) -> List[int]:
    """Return the starts of ``clips`` clips in the middle of equal parts of the video (c3d_paddle, c3d_mmaction)."""
    if count < length:
        return [0] * clips
    step = (count - length + 1) / clips
    return [int(index * step + step / 2) for index in range(clips)]


def fixed_starts(rule: str, latest: int, clips: int) -> List[int]:
    """Return the starts 0..latest that ``rule`` chooses; where nothing is to be chosen, all are 0."""
    if rule == "first":
        return [0] * clips
    if rule == "center" or clips == 1:
        return [latest // 2] * clips
    return [index * latest // (clips - 1) for index in range(clips)]


def held(start: int, count: int, length: int) -> Clip:
    """Return ``length`` consecutive positions from ``start``; past the end the last frame is held (c3d_tf recipe)."""
    return tuple(min(start + index, count - 1) for index in range(length))


def spread(start: int, count: int, length: int, span: int) -> Clip:
    """Return ``length`` positions evenly spaced over ``span`` frames from ``start``, both ends included.

    A video of no more than ``span`` frames gives as many as its share of the span, then holds its last frame
    (r2plus1d_mindspore recipe: 16 over 32).
    """
    end = start + span
    if count <= span:
        start, end = 0, count
    spaced = np.linspace(start, end, min(length, count * length // span)).tolist()
    spaced += [end] * (length - len(spaced))
    return tuple(int(min(value, end - 1)) for value in spaced)


def _cyclic(start: int, count: int, length: int) -> Clip:
    return tuple((start + index) % count for index in range(length))


def extent(clip: Clip) -> Tuple[int, int]:
    """Return the lowest and the highest number of the frames that a clip shows, black ones apart."""
    shown = [number for number in clip if number != BLACK]
    return min(shown), max(shown)
