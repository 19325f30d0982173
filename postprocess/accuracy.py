"""Counting: which videos are in the denominator, which of them are hits, and what goes into ``accuracy.json``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Dict, List, Optional

import numpy as np

from pipeline.errors import RequestError, ShortfallError
from postprocess.metrics import Proportion, mean_of, proportion, ranks, video_scores
from postprocess.scores import MISSING, SKIPPED, Absent, Origin, Scores, classes_of

VERSION = 1


@dataclass(frozen=True)
class Rules:
    """How scores are counted.

    Attributes:
        k: Classes per video in val.json, and the k of the gate.
        activation: ``softmax`` or ``none``, applied to each clip before the mean.
        max_clips: Clips of a video that are used, 0 for all (the 3d_resnet recipe: 10).
        ignore: Leave videos without scores out of the denominator; they count as wrong otherwise.
    """

    k: int
    activation: str
    max_clips: int = 0
    ignore: bool = False


@dataclass(frozen=True)
class Coverage:
    """What became of the videos of the subset: expected = scored + skipped + missing.

    Attributes:
        outside: Scored videos that are not in the subset; they are in val.json and in no figure.
        unlabelled: Videos of the subset without a class; they are in no figure.
        absent: Skipped and missing videos with their reasons.
        clips: Clips that were used.
        left_out_clips: Clips left out by the batches' layout and by ``max_clips``.
    """

    expected: int
    scored: int
    skipped: int
    missing: int
    outside: int
    unlabelled: int
    clips: int
    left_out_clips: int
    absent: List[Absent]

    def reasons(self, kind: str) -> Dict[str, int]:
        """Return the reasons of the absent videos of a kind with their numbers, the most frequent first."""
        return dict(Counter(item.reason for item in self.absent if item.kind == kind).most_common())


@dataclass(frozen=True)
class MeanClass:
    """Mean of the top-1 accuracies of the classes that occur in the ground truth."""

    classes: int
    value: Optional[float]
    low: Optional[float]
    high: Optional[float]


@dataclass(frozen=True)
class ClassAccuracy:
    """Top-1 accuracy over the videos of one class."""

    label: str
    accuracy: Proportion


@dataclass(frozen=True)
class Accuracy:
    """``accuracy.json``.

    Attributes:
        video: ``top-1`` ... ``top-k`` and ``top-5``, over videos; absent ones count as wrong unless ``rules.ignore``.
        clip: The same over single clips that have scores. Clips of one video resemble each other, so these intervals
            are narrower than they should be.
    """

    origin: Origin
    rules: Rules
    coverage: Coverage
    video: Dict[str, Proportion]
    clip: Dict[str, Proportion]
    mean_class: MeanClass
    per_class: List[ClassAccuracy]


@dataclass(frozen=True)
class Outcome:
    """Scores per video, float32 (videos, classes), and the figures computed from them."""

    scores: Scores
    means: np.ndarray
    accuracy: Accuracy


def count(scores: Scores, rules: Rules) -> Outcome:
    """Average the clips of each video and count the hits; ``rules.k`` is at most the number of classes."""
    every = np.bincount(scores.clip_video, minlength=len(scores.ids))
    used = np.minimum(every, rules.max_clips) if rules.max_clips else every
    place = np.arange(len(scores.clip_video)) - (np.cumsum(every) - every)[scores.clip_video]
    kept = place < used[scores.clip_video]
    logits = scores.logits if kept.all() else scores.logits[kept]
    means = video_scores(logits, used, rules.activation)
    judged = scores.counted & (scores.truth >= 0)
    video_ranks = ranks(means[judged], scores.truth[judged])
    clip_truth = np.where(judged, scores.truth, -1)[scores.clip_video[kept]]
    clip_ranks = ranks(logits[clip_truth >= 0], clip_truth[clip_truth >= 0])
    lost = _lost(scores, rules)
    per_class = _per_class(scores.labels, scores.truth[judged], video_ranks == 0, lost)
    accuracy = Accuracy(
        origin=scores.origin,
        rules=rules,
        coverage=_coverage(scores, int(used.sum()), int(every.sum())),
        video=_top(video_ranks, len(lost), len(scores.labels), rules.k),
        clip=_top(clip_ranks, 0, len(scores.labels), rules.k),
        mean_class=_mean_class(per_class),
        per_class=per_class,
    )
    return Outcome(scores, means, accuracy)


def check_gate(accuracy: Accuracy, minimum: Optional[float], where: object) -> None:
    """Compare top-k over videos with ``minimum``, if there is one.

    Raises:
        ShortfallError: it is lower.
        RequestError: no video has a label, so there is nothing to compare.
    """
    if minimum is None:
        return
    name = f"top-{accuracy.rules.k}"
    found = accuracy.video[name]
    if found.value is None:
        raise RequestError("no video has a label, so there is no accuracy for --min-accuracy", where)
    if found.value < minimum:
        raise ShortfallError(
            f"{name} accuracy is {found.value:.4f} ({found.hits} of {found.total}), asked for at least {minimum:.4f}",
            where,
        )


def _lost(scores: Scores, rules: Rules) -> np.ndarray:
    """Return the class of each labelled video that has no scores and yet counts."""
    if rules.ignore:
        return np.zeros(0, np.int32)
    labels = [item.label for item in scores.absent]
    classes = classes_of(labels, [item.id for item in scores.absent], scores.labels, "the annotation")
    return classes[classes >= 0]


def _top(found: np.ndarray, lost: int, classes: int, k: int) -> Dict[str, Proportion]:
    wanted = sorted({*range(1, k + 1), *([5] if classes >= 5 else [])})
    return {f"top-{n}": proportion(int((found < n).sum()), len(found) + lost) for n in wanted}


def _per_class(labels: List[str], truth: np.ndarray, hit: np.ndarray, lost: np.ndarray) -> List[ClassAccuracy]:
    total = np.bincount(truth, minlength=len(labels)) + np.bincount(lost, minlength=len(labels))
    hits = np.bincount(truth[hit], minlength=len(labels))
    return [ClassAccuracy(label, proportion(int(h), int(n))) for label, h, n in zip(labels, hits, total)]


def _mean_class(per_class: List[ClassAccuracy]) -> MeanClass:
    parts = [item.accuracy for item in per_class if item.accuracy.total]
    return MeanClass(len(parts), *mean_of(parts))


def _coverage(scores: Scores, used: int, every: int) -> Coverage:
    kinds = Counter(item.kind for item in scores.absent)
    unlabelled = int((scores.counted & (scores.truth < 0)).sum())
    return Coverage(
        expected=scores.expected,
        scored=int(scores.counted.sum()),
        skipped=kinds[SKIPPED],
        missing=kinds[MISSING],
        outside=int((~scores.counted).sum()),
        unlabelled=unlabelled + sum(item.label is None for item in scores.absent),
        clips=used,
        left_out_clips=every - used + scores.origin.dropped_clips,
        absent=scores.absent,
    )
