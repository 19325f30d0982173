"""From logits to scores, ranks and proportions. Arrays in, arrays or figures out; no file, no video id."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

import numpy as np

_Z95 = 1.959963984540054
_BLOCK = 1 << 21


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


def video_scores(logits: np.ndarray, counts: np.ndarray, activation: str) -> np.ndarray:
    """Apply the activation to each clip, then average the clips of each video, as the 3d_resnet recipe does.

    Computed in float64 and rounded once, so that neither the order of the clips nor the processor shows in the result;
    the recipe's float32 arithmetic differs by less than 1e-6.

    Args:
        logits: float32 (clips, classes), the clips of a video one after the other.
        counts: integers (videos,), clips of each video, 1 or more.
        activation: ``softmax`` or ``none``.

    Returns:
        float32 (videos, classes).
    """
    ends = np.cumsum(counts)
    starts = ends - counts
    scores = np.empty((len(counts), logits.shape[1]), np.float32)
    rows = max(1, _BLOCK // logits.shape[1])
    first = 0
    while first < len(counts):
        last = max(first + 1, int(np.searchsorted(ends, starts[first] + rows, side="right")))
        block = logits[starts[first] : ends[last - 1]].astype(np.float64)
        block = _softmax(block) if activation == "softmax" else block
        sums = np.add.reduceat(block, starts[first:last] - starts[first], axis=0)
        scores[first:last] = sums / counts[first:last, np.newaxis]
        first = last
    return scores


def _softmax(rows: np.ndarray) -> np.ndarray:
    rows -= rows.max(axis=1, keepdims=True)
    np.exp(rows, out=rows)
    rows /= rows.sum(axis=1, keepdims=True)
    return rows


def best(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the ``k`` best classes of each row: descending score, equal scores by ascending class index."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def ranks(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the place of the true class in the order of :func:`best`, from 0; ``truth`` is a class index per row."""
    own = scores[np.arange(len(scores)), truth][:, np.newaxis]
    before = np.arange(scores.shape[1]) < truth[:, np.newaxis]
    return ((scores > own) | ((scores == own) & before)).sum(axis=1)
