"""Accuracy of two runs over the same videos: who changed sides, and whether that can be chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Dict, List, Tuple

import numpy as np

from clip2om.postprocess.accuracy import Outcome
from clip2om.postprocess.metrics import Proportion, proportion, ranks
from clip2om.scripts.pages.run import Run

_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Paired:
    """Hits of both runs over the videos that both count.

    Attributes:
        k: A video is right if its class is among the ``k`` best.
        lost: Videos that only run A has right, ``gained`` those that only run B has right.
        only_a: Videos that only run A counts, ``only_b`` those that only run B counts; in none of the figures.
        absent_a: Videos in the figures that have no scores in run A and count as wrong there, ``absent_b`` those of B.
        difference: Accuracy of B minus that of A, with a 95 % interval (Bonett and Price, Br. J. Math. Stat. Psychol.
            65, 2012).
        p: Two-sided exact test of McNemar (1947): how often chance alone moves as many videos so unevenly.
    """

    k: int
    a: Proportion
    b: Proportion
    lost: List[str]
    gained: List[str]
    only_a: int
    only_b: int
    absent_a: int
    absent_b: int
    difference: float
    low: float
    high: float
    p: float


def paired(a: Run, b: Run, k: int) -> Paired:
    """Compare the runs over the videos that both count; there is at least one."""
    mine, yours = hits(a, k), hits(b, k)
    shared = [name for name in mine if name in yours]
    lost = [name for name in shared if mine[name] and not yours[name]]
    gained = [name for name in shared if yours[name] and not mine[name]]
    difference, low, high = interval(len(lost), len(gained), len(shared))
    return Paired(
        k=k,
        a=proportion(sum(mine[name] for name in shared), len(shared)),
        b=proportion(sum(yours[name] for name in shared), len(shared)),
        lost=lost,
        gained=gained,
        only_a=len(mine) - len(shared),
        only_b=len(yours) - len(shared),
        absent_a=len(set(shared) - set(a.scores.ids)),
        absent_b=len(set(shared) - set(b.scores.ids)),
        difference=difference,
        low=low,
        high=high,
        p=mcnemar(len(lost), len(gained)),
    )


def hits(run: Run, k: int) -> Dict[str, bool]:
    """Return of each video that counts whether it is right; one without scores counts as wrong, unless ignored."""
    return hits_of(Outcome(run.scores, run.means, run.accuracy), k)


def hits_of(outcome: Outcome, k: int) -> Dict[str, bool]:
    """Return the same of what was counted."""
    scores, rules = outcome.scores, outcome.accuracy.rules
    judged = np.flatnonzero(scores.counted & (scores.truth >= 0))
    right = ranks(outcome.means[judged], scores.truth[judged], rules.ties) < k
    found = {scores.ids[index]: bool(hit) for index, hit in zip(judged.tolist(), right)}
    lost = [] if rules.ignore else [item.id for item in scores.absent if item.label is not None]
    return {**found, **dict.fromkeys(lost, False)}


def mcnemar(lost: int, gained: int) -> float:
    """Return the two-sided exact p-value of McNemar's test: a binomial test of the changed videos at one half."""
    total, smaller = lost + gained, min(lost, gained)
    term = below = 1
    for number in range(smaller):
        term = term * (total - number) // (number + 1)
        below += term
    return min(1.0, 2 * below / 2**total)


def interval(lost: int, gained: int, total: int) -> Tuple[float, float, float]:
    """Return (gained - lost) / total and the adjusted Wald interval of Bonett and Price."""
    worse, better = (lost + 1) / (total + 2), (gained + 1) / (total + 2)
    centre = better - worse
    half = _Z95 * math.sqrt(max(0.0, better + worse - centre**2) / (total + 2))
    return (gained - lost) / total, max(-1.0, centre - half), min(1.0, centre + half)
