"""How far the outputs of two runs are apart on the clips that both have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Tuple

import numpy as np

from clip2om.scripts.pages.run import Run

# What Ascend's accuracy tools and the people who use them go by.
MIN_COSINE, MAX_RELATIVE, MAX_KL = 0.99, 0.05, 0.005
_SMALLEST = 1e-30
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Drift:
    """Outputs of run B against those of run A.

    Attributes:
        clips: Rows compared; ``same_class`` of them have the same best class.
        identical: Every number is the same.
        max_abs: Largest absolute difference of an output, ``mean_abs`` the mean one.
        cosine: Of all outputs together.
        relative: Euclidean length of the difference over that of A's outputs.
        kl: Mean over clips of the Kullback-Leibler divergence of B's probabilities from A's, in nats; ``max_kl`` the
            largest.
        max_score: Largest difference of the score of a video.
    """

    clips: int
    same_class: int
    identical: bool
    max_abs: float
    mean_abs: float
    cosine: float
    relative: float
    kl: float
    max_kl: float
    max_score: float

    @property
    def within(self) -> bool:
        """True if all three figures keep the customary limits."""
        return self.cosine >= MIN_COSINE and self.relative <= MAX_RELATIVE and self.kl <= MAX_KL


def common_clips(a: Run, b: Run) -> Tuple[np.ndarray, np.ndarray]:
    """Return the rows of both runs that are of the same clip of the same video.

    Clips are the same if they are in the same place in the video and, where both manifests are there, of the same
    frames.
    """
    theirs = {name: index for index, name in enumerate(b.scores.ids)}
    spans = [_spans(run) if a.manifest and b.manifest else {} for run in (a, b)]
    starts = [np.searchsorted(run.scores.clip_video, np.arange(len(run.scores.ids) + 1)).tolist() for run in (a, b)]
    rows: List[Tuple[int, int]] = []
    for index, name in enumerate(a.scores.ids):
        other = theirs.get(name)
        if other is None:
            continue
        count = min(starts[0][index + 1] - starts[0][index], starts[1][other + 1] - starts[1][other])
        pairs = ((starts[0][index] + place, starts[1][other] + place, place) for place in range(count))
        mine, yours = spans[0].get(name, []), spans[1].get(name, [])
        rows += [(left, right) for left, right, place in pairs if mine[place : place + 1] == yours[place : place + 1]]
    both = np.array(rows, np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _spans(run: Run) -> "dict[str, List[Tuple[int, int]]]":
    videos = run.manifest.videos if run.manifest else []
    return {video.id: [(clip[2], clip[3]) for clip in video.clips] for video in videos}


def drift(a: Run, b: Run) -> Drift:
    """Return the figures over the common clips, of which there is at least one, and over the common videos."""
    left, right = common_clips(a, b)
    mine, yours = a.scores.logits[left].astype(np.float64), b.scores.logits[right].astype(np.float64)
    apart = np.abs(mine - yours)
    length = float(np.linalg.norm(mine))
    product = length * float(np.linalg.norm(yours))
    divergence = _divergence(mine, yours)
    return Drift(
        clips=len(mine),
        same_class=int((mine.argmax(axis=1) == yours.argmax(axis=1)).sum()),
        identical=bool((apart == 0).all()),
        max_abs=float(apart.max()),
        mean_abs=float(apart.mean()),
        cosine=min(1.0, float((mine * yours).sum()) / product) if product else float(not apart.any()),
        relative=float(np.linalg.norm(mine - yours)) / max(length, _SMALLEST),
        kl=float(divergence.mean()),
        max_kl=float(divergence.max()),
        max_score=_max_score(a, b),
    )


def _max_score(a: Run, b: Run) -> float:
    theirs = {name: index for index, name in enumerate(b.scores.ids)}
    pairs = [(index, theirs[name]) for index, name in enumerate(a.scores.ids) if name in theirs]
    left, right = np.array(pairs).T
    apart = np.abs(a.means[left].astype(np.float64) - b.means[right])
    return float(np.nanmax(apart)) if np.isfinite(apart).any() else 0.0


def _divergence(mine: np.ndarray, yours: np.ndarray) -> np.ndarray:
    """Return sum p log(p / q) per row, of probabilities as they are or of the softmax of anything else."""
    first, second = _log_probabilities(mine), _log_probabilities(yours)
    found: np.ndarray = (np.exp(first) * (first - second)).sum(axis=1)
    return np.maximum(found, 0.0)


def _log_probabilities(rows: np.ndarray) -> np.ndarray:
    if (rows >= 0).all() and (np.abs(rows.sum(axis=1) - 1) < _SUM_TOLERANCE).all():
        found: np.ndarray = np.log(np.maximum(rows, _SMALLEST))
        return found
    shifted = rows - rows.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
