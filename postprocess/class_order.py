"""Whether scores fit another order of the classes than the labels have: the most frequent cause of no accuracy at all.

Weights know classes by number, and the list that the training used is lost easily: sorted, or not, or from 1. A network
that is right under another list predicts, for the videos of each class, mostly one class, and for no two the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

import numpy as np

# Of fewer videos per class any predictions fit some order: with one video of each class, distinct ones do always.
_PER_CLASS = 3
_LEAST, _TIMES = 0.6, 2.0
_SHOWN = 3


@dataclass(frozen=True)
class OtherOrder:
    """Hits under the best order that was found, of ``total`` videos, and what it takes each class for."""

    hits: int
    own: int
    total: int
    pairs: List[Tuple[str, str]]

    def words(self) -> str:
        """Return one line for a person."""
        shown = ", ".join(f"{found!r} is {true!r}" for found, true in self.pairs[:_SHOWN])
        more = f" and {len(self.pairs) - _SHOWN} more" if len(self.pairs) > _SHOWN else ""
        return (
            f"these scores fit another order of the classes: {self.hits} of {self.total} videos would be right under "
            f"it, {self.own} are ({shown}{more}); check that dataset.labels is the list of the training, in its order"
        )


def other_order(truth: np.ndarray, predicted: np.ndarray, labels: Sequence[str]) -> Optional[OtherOrder]:
    """Return the one-to-one order of predicted to true classes that fits best, where it fits far better than the own.

    The largest counts of the confusion matrix are taken first, which is the best order where one is there at all.

    Args:
        truth: Class index of each video, integers (videos,).
        predicted: The first predicted class of each, integers (videos,).
        labels: Names of the classes.
    """
    total, classes = len(truth), len(labels)
    present = len(np.unique(truth)) if total else 0
    own = int((truth == predicted).sum())
    if present < 2 or total < _PER_CLASS * present:
        return None
    counts = np.bincount(predicted * classes + truth, minlength=classes * classes).reshape(classes, classes)
    pairs, hits = [], 0
    free = np.ones(classes, bool), np.ones(classes, bool)
    for place in np.argsort(-counts, axis=None, kind="stable"):
        found, true = divmod(int(place), classes)
        if not counts[found, true]:
            break
        if free[0][found] and free[1][true]:
            free[0][found] = free[1][true] = False
            hits += int(counts[found, true])
            if found != true:
                pairs.append((labels[found], labels[true]))
    if hits < _LEAST * total or hits < _TIMES * max(own, 1):
        return None
    return OtherOrder(hits, own, total, pairs)
