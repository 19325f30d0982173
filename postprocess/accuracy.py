"""Counting: which videos are in the denominator, which of them are hits, and what goes into ``accuracy.json``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Dict, List, Optional

import numpy as np

from clip2om.pipeline.errors import RequestError, ShortfallError
from clip2om.pipeline.typed import LATER_NONE, later
from clip2om.postprocess.metrics import NAIVE, Proportion, activated, best, mean_of, proportion, ranks, video_scores
from clip2om.postprocess.scores import MISSING, SKIPPED, VIDEO, Absent, Origin, Scores, classes_of, first_videos

VERSION = 1


@dataclass(frozen=True)
class Rules:
    """How scores are counted.

    Attributes:
        k: Classes per video in val.json, and the k of the gate.
        activation: ``softmax``, ``none`` or ``naive-softmax`` (r2plus1d_mindspore's), applied to each clip before the
            mean.
        max_clips: Clips of a video that are used, 0 for all (the 3d_resnet recipe: 10).
        ignore: Leave videos without scores out of the denominator; they count as wrong otherwise.
        ties: Which of equal scores comes first: that of the ``first`` class or of the ``last`` (c3d_mmaction's).
        mean_class: Classes of the mean: ``labelled``, or the ``union`` of labelled and predicted ones (c3d_paddle's).
        first_videos: Count the first so many scored videos alone, 0 for all (c3d_tf: 60).
        batch_accuracy: Give the mean of the accuracies of full batches of so many videos too, 0 for none (c3d_tf).
        averaging: ``mean``, ``largest`` or ``votes`` over the clips of a video.
    """

    k: int
    activation: str
    max_clips: int = 0
    ignore: bool = False
    ties: str = "first"
    mean_class: str = "labelled"
    first_videos: int = 0
    batch_accuracy: int = 0
    averaging: str = later("mean")


@dataclass(frozen=True)
class Coverage:
    """What became of the videos of the subset: expected = scored + skipped + missing.

    Attributes:
        outside: Scored videos that are not in the subset; they are in val.json and in no figure.
        unlabelled: Videos of the subset without a class; they are in no figure.
        absent: Skipped and missing videos with their reasons.
        clips: Rows of scores that were used: clips, or videos where the model averages their clips itself.
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
    """Mean of the top-1 accuracies of the ``classes`` that :attr:`Rules.mean_class` names.

    A class that is only predicted has accuracy 0.
    """

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
class BatchAccuracy:
    """Mean of the top-1 accuracies of full batches of ``size`` scored videos in their order.

    ``left_out`` videos make no full batch (the test loop of c3d_tf drops them).
    """

    size: int
    batches: int
    left_out: int
    value: float


@dataclass(frozen=True)
class Accuracy:
    """``accuracy.json``.

    Attributes:
        video: ``top-1`` ... ``top-k`` and ``top-5``, over videos; absent ones count as wrong unless ``rules.ignore``.
        clip: The same over single clips that have scores; over videos where ``origin.rows`` is ``video``, because the
            model gives one row for all clips of a video. Clips of one video resemble each other, so these intervals
            are narrower than they should be.
        batch: Where ``rules.batch_accuracy`` asks for it.
        view: The same over single views, a crop of a clip each, where frames have several crops; a clip is then the
            average over its crops.
    """

    origin: Origin
    rules: Rules
    coverage: Coverage
    video: Dict[str, Proportion]
    clip: Dict[str, Proportion]
    mean_class: MeanClass
    per_class: List[ClassAccuracy]
    batch: Optional[BatchAccuracy] = None
    view: Optional[Dict[str, Proportion]] = field(default=None, metadata=LATER_NONE)


@dataclass(frozen=True)
class Outcome:
    """Scores per video, float32 (videos, classes), and the figures computed from them."""

    scores: Scores
    means: np.ndarray
    accuracy: Accuracy


def count(scores: Scores, rules: Rules) -> Outcome:
    """Average the clips of each video and count the hits; ``rules.k`` is at most the number of classes.

    Raises:
        RequestError: the rules ask for more videos than have scores, or for single clips that the model has averaged.
    """
    if rules.max_clips and scores.origin.rows == VIDEO:
        raise RequestError("the model gives one row per video: its clips are averaged already", "--max-clips")
    scores = first_videos(scores, rules.first_videos) if rules.first_videos else scores
    every = np.bincount(scores.clip_video, minlength=len(scores.ids))
    kept = _kept(scores, every, rules.max_clips)
    used = np.bincount(scores.clip_video[kept], minlength=len(scores.ids))
    logits = scores.logits if kept.all() else scores.logits[kept]
    means = video_scores(logits, used, rules.activation, rules.averaging, rules.ties)
    judged = scores.counted & (scores.truth >= 0)
    truth = scores.truth[judged]
    video_ranks = ranks(means[judged], truth, rules.ties)
    clip_truth = np.where(judged, scores.truth, -1)[scores.clip_video[kept]]
    lost = _lost(scores, rules)
    per_class = _per_class(scores.labels, truth, video_ranks == 0, lost)
    rows = _top(_clip_ranks(logits, clip_truth, rules), 0, len(scores.labels), rules.k)
    accuracy = Accuracy(
        origin=scores.origin,
        rules=rules,
        coverage=_coverage(scores, int(used.sum()), int(every.sum())),
        video=_top(video_ranks, len(lost), len(scores.labels), rules.k),
        clip=rows if scores.views is None else _clips(scores, kept, judged, rules),
        mean_class=_mean_class(per_class, best(means[judged], 1, rules.ties)[:, 0], rules),
        per_class=per_class,
        batch=_batch_accuracy(video_ranks == 0, rules.batch_accuracy) if rules.batch_accuracy else None,
        view=None if scores.views is None else rows,
    )
    return Outcome(scores, means, accuracy)


def _kept(scores: Scores, every: np.ndarray, clips: int) -> np.ndarray:
    """Tell of each row, bool, whether it is of the first ``clips`` clips of its video (0: all)."""
    if not clips:
        return np.ones(len(scores.clip_video), bool)
    if scores.views is not None:
        return scores.views[:, 0] < clips
    place = np.arange(len(scores.clip_video)) - (np.cumsum(every) - every)[scores.clip_video]
    return place < clips


def _clips(scores: Scores, kept: np.ndarray, judged: np.ndarray, rules: Rules) -> Dict[str, Proportion]:
    """Count clips whose rows are views of them: the crops of a clip are averaged as the views of a video are."""
    assert scores.views is not None
    videos, clips = scores.clip_video[kept], scores.views[kept, 0]
    order = np.lexsort((clips, videos))
    pairs, counts = np.unique(np.stack([videos[order], clips[order]]), axis=1, return_counts=True)
    found = video_scores(scores.logits[kept][order], counts, rules.activation, rules.averaging, rules.ties)
    truth = np.where(judged, scores.truth, -1)[pairs[0]]
    return _top(ranks(found[truth >= 0], truth[truth >= 0], rules.ties), 0, len(scores.labels), rules.k)


def _clip_ranks(logits: np.ndarray, truth: np.ndarray, rules: Rules) -> np.ndarray:
    """Return the rank of each labelled row; a proper softmax does not change it, the naive one may."""
    rows = logits[truth >= 0]
    return ranks(activated(rows, NAIVE) if rules.activation == NAIVE else rows, truth[truth >= 0], rules.ties)


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


def _mean_class(per_class: List[ClassAccuracy], predicted: np.ndarray, rules: Rules) -> MeanClass:
    parts = [item.accuracy for item in per_class if item.accuracy.total]
    value, low, high = mean_of(parts)
    if rules.mean_class == "labelled" or value is None or low is None or high is None:
        return MeanClass(len(parts), value, low, high)
    also = {int(number) for number in predicted if not per_class[number].accuracy.total}
    share = len(parts) / (len(parts) + len(also))
    exact = sum(part.hits / part.total for part in parts) / (len(parts) + len(also))
    return MeanClass(len(parts) + len(also), exact, low * share, high * share)


def _batch_accuracy(hit: np.ndarray, size: int) -> BatchAccuracy:
    batches, left_out = divmod(len(hit), size)
    if not batches:
        raise RequestError(f"{len(hit)} scored videos with a label make no batch of {size}", "--batch-accuracy")
    value = float(hit[: batches * size].reshape(batches, size).mean(axis=1).mean())
    return BatchAccuracy(size, batches, left_out, value)


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
