"""What every benchmark hands over: a figure with its baseline, and how cost grows with the number of videos."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Callable, List, Sequence, Tuple

AT_LEAST, AT_MOST = "at least", "at most"


@dataclass(frozen=True)
class Scale:
    """How thoroughly to measure.

    Attributes:
        work: Folder for inputs and outputs; it is deleted afterwards.
        quick: Tiny inputs and few rounds: shows that a benchmark runs, not how fast.
        rounds: Measurements of each side.
    """

    work: Path
    quick: bool = False
    rounds: int = 7


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        stage: What was measured, for example ``preprocess from JPEG frames``.
        measure: The measure and its baseline, in words.
        unit: Unit of the samples, for example ``frames/s``.
        ours: Samples of this project, in the order of the rounds.
        baseline: Samples of the baseline, alternating with ``ours``; empty where ``target`` is in ``unit`` itself.
        target: What the figure is compared with: ours / baseline, or ours where there is no baseline.
        relation: ``at least`` or ``at most``.
        note: What a reader of the figure should know: sizes, versions, what stands in the way.
    """

    stage: str
    measure: str
    unit: str
    ours: Tuple[float, ...]
    baseline: Tuple[float, ...]
    target: float
    relation: str
    note: str = ""

    @property
    def figures(self) -> Tuple[float, ...]:
        """The figure of each round: with a baseline, the ratio of two neighbouring measurements."""
        if not self.baseline:
            return self.ours
        return tuple(one / other for one, other in zip(self.ours, self.baseline))

    @property
    def figure(self) -> float:
        """Median over the rounds."""
        return median(self.figures)

    @property
    def met(self) -> bool:
        """True where the figure is as asked."""
        return self.figure >= self.target if self.relation == AT_LEAST else self.figure <= self.target


@dataclass(frozen=True)
class Growth:
    """Cost of a stage at several sizes.

    Attributes:
        stage: Name of the stage.
        unit: Unit of ``cost``: ``s``, or ``MB`` for memory.
        videos: Sizes, ascending.
        cost: Median cost at each size.
    """

    stage: str
    unit: str
    videos: Tuple[int, ...]
    cost: Tuple[float, ...]

    @property
    def exponent(self) -> float:
        """Slope of log cost over log videos, by least squares: 1 is linear, 0 does not grow."""
        x = [math.log(value) for value in self.videos]
        y = [math.log(value) for value in self.cost]
        mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
        above = sum((one - mean_x) * (other - mean_y) for one, other in zip(x, y))
        return above / sum((one - mean_x) ** 2 for one in x)


def in_turn(sides: Sequence[Callable[[], float]], rounds: int) -> List[Tuple[float, ...]]:
    """Measure all sides in turn, so that a change of the machine's speed meets them alike.

    Which side goes first changes every round. No call is a warm-up: what has to be warm is warmed before.

    Returns:
        The samples of each side.
    """
    samples: List[List[float]] = [[] for _ in sides]
    for number in range(rounds):
        for place in range(len(sides)):
            side = (number + place) % len(sides)
            samples[side].append(sides[side]())
    return [tuple(found) for found in samples]


def spread(samples: Sequence[float]) -> Tuple[float, float, float]:
    """Return median, least and largest of the samples."""
    return median(samples), min(samples), max(samples)
