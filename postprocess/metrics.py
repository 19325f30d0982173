"""From logits to scores, ranks and proportions. Arrays in, arrays or figures out; no file, no video id."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

import numpy as np

_Z95 = 1.959963984540054
_BLOCK = 1 << 21
NAIVE = "naive-softmax"
ACTIVATIONS = ("softmax", "none", NAIVE)
TIES = ("first", "last")
AVERAGING = ("mean", "largest", "votes")


@dataclass(frozen=True)
class Proportion:
    """``hits`` of ``total`` with the 95 % interval of Wilson (1927); None where nothing was counted."""

    hits: int
    total: int
    value: Optional[float]
    low: Optional[float]
    high: Optional[float]


def proportion(hits: int, total: int) -> Proportion:
    """Return hits / total with its interval."""
    if total == 0:
        return Proportion(0, 0, None, None, None)
    low, high = wilson(hits, total)
    return Proportion(hits, total, hits / total, low, high)


def wilson(hits: int, total: int) -> Tuple[float, float]:
    """Return the 95 % score interval of a binomial proportion; ``total`` is 1 or more."""
    share, z2 = hits / total, _Z95 * _Z95
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z95 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    high = 1.0 if hits == total else min(1.0, centre + half)
    return low, high


def mean_of(parts: Sequence[Proportion]) -> Tuple[Optional[float], Optional[float], Optional[float]]:
    """Return the unweighted mean of proportions and its 95 % interval, None without parts.

    The interval recovers each part's variance from its Wilson limits (Zou, Huang and Zhang, Computational Statistics
    and Data Analysis 53, 2009), so it keeps a width where a class has few videos or is always right.
    """
    rows = [(part.value, part.low, part.high) for part in parts if part.total]
    if not rows:
        return None, None, None
    value, low, high = np.array(rows, np.float64).T
    mean = float(value.mean())
    below = float(np.sqrt(((value - low) ** 2).sum())) / len(rows)
    above = float(np.sqrt(((high - value) ** 2).sum())) / len(rows)
    return mean, max(0.0, mean - below), min(1.0, mean + above)


def video_scores(
    logits: np.ndarray, counts: np.ndarray, activation: str, averaging: str = "mean", ties: str = "first"
) -> np.ndarray:
    """Apply the activation to each clip, then average the clips of each video, as the 3d_resnet recipe does.

    Computed in float64 and rounded once, so that neither the order of the clips nor the processor shows in the result;
    the recipe's float32 arithmetic differs by less than 1e-6.

    Args:
        logits: float32 (clips, classes), the clips of a video one after the other.
        counts: integers (videos,), clips of each video, 1 or more.
        activation: One of :data:`ACTIVATIONS`.
        averaging: ``mean``; ``largest`` of each class; ``votes``, the share of the clips of which a class is the best.
        ties: Which class a clip votes for among equal ones: see :func:`best`.

    Returns:
        float32 (videos, classes); NaN where ``naive-softmax`` overflows or underflows.
    """
    ends = np.cumsum(counts)
    starts = ends - counts
    scores = np.empty((len(counts), logits.shape[1]), np.float32)
    rows = max(1, _BLOCK // logits.shape[1])
    first = 0
    while first < len(counts):
        last = max(first + 1, int(np.searchsorted(ends, starts[first] + rows, side="right")))
        block = activated(logits[starts[first] : ends[last - 1]], activation)
        places = starts[first:last] - starts[first]
        if averaging == "largest":
            scores[first:last] = np.maximum.reduceat(block, places, axis=0)
        else:
            block = _votes(block, ties) if averaging == "votes" else block
            sums = np.add.reduceat(block, places, axis=0)
            scores[first:last] = sums / counts[first:last, np.newaxis]
        first = last
    return scores


def _votes(rows: np.ndarray, ties: str) -> np.ndarray:
    """Return 1 for the best class of each row, 0 for the others."""
    votes = np.zeros_like(rows)
    np.put_along_axis(votes, best(rows, 1, ties), 1.0, axis=1)
    return votes


def activated(rows: np.ndarray, activation: str) -> np.ndarray:
    """Return float32 rows of logits after the activation, in float64.

    ``naive-softmax`` is computed in float32 and without subtracting the maximum, as the r2plus1d_mindspore recipe does:
    a logit above 88.7 becomes infinity and then NaN, and a row that is all below -103 becomes NaN.
    """
    if activation == NAIVE:
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            powers = np.exp(rows)
            return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float64)
    wide = rows.astype(np.float64)
    return _softmax(wide) if activation == "softmax" else wide


def _softmax(rows: np.ndarray) -> np.ndarray:
    rows -= rows.max(axis=1, keepdims=True)
    np.exp(rows, out=rows)
    rows /= rows.sum(axis=1, keepdims=True)
    return rows


def best(scores: np.ndarray, k: int, ties: str = "first") -> np.ndarray:
    """Return the ``k`` best classes of each row by descending score.

    Equal scores are in ascending order of the class index, with ``ties="last"`` in descending order. NaN comes before
    every number, as in NumPy's argmax.
    """
    order = _orderly(scores)
    if ties == "last":
        return scores.shape[1] - 1 - np.argsort(-order[:, ::-1], axis=1, kind="stable")[:, :k]
    return np.argsort(-order, axis=1, kind="stable")[:, :k]


def ranks(scores: np.ndarray, truth: np.ndarray, ties: str = "first") -> np.ndarray:
    """Return the place of the true class in the order of :func:`best`, from 0; ``truth`` is a class index per row."""
    order = _orderly(scores)
    own = order[np.arange(len(order)), truth][:, np.newaxis]
    classes, true = np.arange(order.shape[1]), truth[:, np.newaxis]
    before = classes > true if ties == "last" else classes < true
    return ((order > own) | ((order == own) & before)).sum(axis=1)


def _orderly(scores: np.ndarray) -> np.ndarray:
    bad = np.isnan(scores)
    return np.where(bad, np.inf, scores) if bad.any() else scores
