"""Figures of a run that its records do not have: confusions, calibration, and the videos worth looking at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np

from clip2om.postprocess.metrics import Proportion, best, proportion
from clip2om.postprocess.scores import VIDEO
from clip2om.scripts.pages.run import Run

BINS = 10
_TOP = 3


@dataclass(frozen=True)
class ClassRow:
    """One class: its accuracy, how often it was predicted, and the class its videos are most often taken for."""

    label: str
    accuracy: Proportion
    predicted: int
    confused: str
    confused_times: int


@dataclass(frozen=True)
class Cell:
    """``count`` videos of class ``truth`` were taken for class ``predicted``; ``share`` of all scored ones of it."""

    truth: int
    predicted: int
    count: int
    share: float


@dataclass(frozen=True)
class Bin:
    """Videos whose best score lies in [low, high): how sure the model was and how often it was right."""

    low: float
    high: float
    confidence: float
    accuracy: Proportion


@dataclass(frozen=True)
class Calibration:
    """Reliability of the best score; ``error`` is the expected calibration error (Guo et al., ICML 2017)."""

    bins: List[Bin]
    error: float


@dataclass(frozen=True)
class Example:
    """One video with its labels and scores.

    Attributes:
        index: Place of the video in the scores.
        clip: Place of the clip, among those of the video, that has the highest score for the predicted class; None
            where the model gives one row for all clips of a video.
        truth: True class; None where the annotation gives none.
        top: The best classes with their scores, descending.
    """

    index: int
    id: str
    clip: Optional[int]
    truth: Optional[str]
    right: bool
    top: List[Tuple[str, float]]


def class_rows(run: Run) -> List[ClassRow]:
    """Return one row per class, in class order."""
    judged = run.judged
    labels = run.scores.labels
    predicted = np.bincount(run.best[judged], minlength=len(labels))
    confused = {cell.truth: cell for cell in sorted(cells(run), key=_by_count) if cell.truth != cell.predicted}
    rows = []
    for index, item in enumerate(run.accuracy.per_class):
        cell = confused.get(index)
        other, times = (labels[cell.predicted], cell.count) if cell else ("", 0)
        rows.append(ClassRow(item.label, item.accuracy, int(predicted[index]), other, times))
    return rows


def _by_count(cell: Cell) -> int:
    return cell.count


def cells(run: Run) -> List[Cell]:
    """Return the cells of the confusion matrix that hold videos."""
    judged, width = run.judged, len(run.scores.labels)
    truth = run.scores.truth[judged].astype(np.int64)
    pairs, counts = np.unique(truth * width + run.best[judged], return_counts=True)
    totals = np.bincount(truth, minlength=width)
    return [
        Cell(int(pair // width), int(pair % width), int(number), number / int(totals[pair // width]))
        for pair, number in zip(pairs, counts)
    ]


def calibration(run: Run) -> Optional[Calibration]:
    """Return the reliability of the best score in bins of equal width; None without labels or without probabilities."""
    judged = run.judged[run.finite[run.judged]]
    if not len(judged) or not run.probabilities:
        return None
    sure = run.means[judged].max(axis=1).astype(np.float64)
    hit = run.best[judged] == run.scores.truth[judged]
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    bins, error = [], 0.0
    for number in range(BINS):
        mine = place == number
        if mine.any():
            right = proportion(int(hit[mine].sum()), int(mine.sum()))
            bins.append(Bin(number / BINS, (number + 1) / BINS, float(sure[mine].mean()), right))
            error += abs(bins[-1].confidence - right.hits / right.total) * right.total / len(judged)
    return Calibration(bins, error)


def mistakes(run: Run, limit: int) -> List[Example]:
    """Return the wrong videos, the most confident first."""
    judged = run.judged[run.finite[run.judged]]
    wrong = judged[run.best[judged] != run.scores.truth[judged]]
    order = np.argsort(-run.means[wrong].max(axis=1), kind="stable")[:limit]
    return [example(run, int(index)) for index in wrong[order]]


def doubtful(run: Run, limit: int) -> List[Example]:
    """Return the right videos, the least certain first: those whose lead over the second class is smallest."""
    judged = run.judged[run.finite[run.judged]]
    right = judged[run.best[judged] == run.scores.truth[judged]]
    if not len(right) or run.means.shape[1] < 2:
        return []
    two = np.sort(run.means[right], axis=1)[:, -2:]
    order = np.argsort(two[:, 1] - two[:, 0], kind="stable")[:limit]
    return [example(run, int(index)) for index in right[order]]


def example(run: Run, index: int) -> Example:
    """Return what there is to show of the video at ``index``."""
    labels, truth = run.scores.labels, int(run.scores.truth[index])
    columns = best(run.means[index : index + 1], _TOP, run.accuracy.rules.ties)[0]
    first, last = np.searchsorted(run.scores.clip_video, (index, index + 1))
    clips = run.scores.logits[first:last][: run.accuracy.rules.max_clips or None]
    # By the score after softmax: a raw output says nothing without those of the other classes.
    lead = clips[:, columns[0]] - np.logaddexp.reduce(clips.astype(np.float64), axis=1)
    return Example(
        index=index,
        id=run.scores.ids[index],
        clip=None if run.scores.origin.rows == VIDEO else int(lead.argmax()),
        truth=labels[truth] if truth >= 0 else None,
        right=int(columns[0]) == truth,
        top=[(labels[column], float(run.means[index, column])) for column in columns],
    )


def clips_per_video(run: Run) -> List[Tuple[int, int]]:
    """Return (clips, videos that have so many), ascending; as prepared, or without a manifest as scored."""
    if run.manifest is not None:
        made = np.array([len(video.clips) for video in run.manifest.videos])
    else:
        made = np.bincount(run.scores.clip_video, minlength=len(run.scores.ids))
    numbers, videos = np.unique(made, return_counts=True)
    return list(zip(numbers.tolist(), videos.tolist()))
