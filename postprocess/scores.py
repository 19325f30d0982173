"""The scores of a dataset: one row of logits per clip, the videos they belong to, and what has no scores.

Everything a metric needs is here, whatever runner the scores came from; nothing here depends on how they are counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Dict, List, Optional, Sequence

import numpy as np

from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.typed import later
from clip2om.postprocess.annotation import Annotation

SKIPPED, MISSING = "skipped", "missing"
NO_CLASS = -1
CLIP, VIDEO = "clip", "video"


@dataclass(frozen=True)
class Absent:
    """A video of the subset without scores: skipped when the batches were made, or missing from the results."""

    id: str
    label: Optional[str]
    kind: str
    reason: str


@dataclass(frozen=True)
class Origin:
    """Under which conditions the scores came about; None where the runner left no record.

    Attributes:
        activation: The card's activation, the default when the scores are counted again.
        fingerprint: Digest of the transform that made the tensors.
        scores_sha256: Digest over names and digests of the result files.
        format: What the result files were: BIN float32, BIN float16, NPY or TXT.
        dropped_clips: Clips that the batches left out (a per-video file holds one batch and no more).
        rows: What one row of scores is of: a ``clip``, or a ``video`` where the model averages its clips itself.
        views: Views of each video that were asked for with ``--views``, 0 where all of the protocol's are there.
        crops: Crops of a frame, where there are several.
        averaging: The card's, as ``activation``.
        consensus: Rows of the result files of which each row here is the mean: one per frame of a view.
    """

    card: str
    dataset: str
    subset: str
    layout: str
    activation: str
    annotation_sha256: str
    manifest_sha256: Optional[str]
    fingerprint: Optional[str]
    scores_sha256: str
    format: str
    dropped_clips: int
    model_sha256: Optional[str] = None
    engine: Optional[str] = None
    engine_version: Optional[str] = None
    device: Optional[str] = None
    soc: Optional[str] = None
    precision: Optional[str] = None
    rows: str = CLIP
    views: int = later(0)
    crops: int = later(1)
    averaging: str = later("mean")
    consensus: int = later(1)


@dataclass(frozen=True)
class Scores:
    """Logits of all clips of all videos that have every one of their results.

    Attributes:
        labels: Class names, one per column.
        ids: Video ids, in the order of the batches.
        truth: int32 (videos,), class of each video, :data:`NO_CLASS` where the annotation gives none.
        counted: bool (videos,), True where the video is in the subset.
        clip_video: int32 (clips,), index of the clip's video; ascending.
        logits: float32 (clips, classes), as the model wrote them.
        absent: Videos of the subset without scores; counted + absent = expected.
        views: int32 (clips, 2), clip of its video and crop of each row; None where each row is a clip.
    """

    labels: List[str]
    ids: List[str]
    truth: np.ndarray
    counted: np.ndarray
    clip_video: np.ndarray
    logits: np.ndarray
    absent: List[Absent]
    origin: Origin
    views: Optional[np.ndarray] = None

    @property
    def expected(self) -> int:
        """Videos of the subset."""
        return int(self.counted.sum()) + len(self.absent)


def classes_of(names: Sequence[Optional[str]], ids: Sequence[str], labels: Sequence[str], where: object) -> np.ndarray:
    """Return the class index of each name as int32, :data:`NO_CLASS` for None.

    Raises:
        RequestError: a name is not among ``labels``.
    """
    index: Dict[Optional[str], int] = {label: number for number, label in enumerate(labels)}
    index[None] = NO_CLASS
    for name, video in zip(names, ids):
        if name not in index:
            raise RequestError(
                f"label {name!r} of video {video!r} is not among the {len(labels)} labels of the model",
                where,
                "choose the card of this dataset with --model",
            )
    return np.array([index[name] for name in names], np.int32)


def judged_by(scores: Scores, annotation: Annotation) -> Scores:
    """Return the same scores with truth, subset and expected videos of ``annotation``.

    Raises:
        RequestError: none of the scored videos is in the subset, or a label is not among the model's.
    """
    truth = annotation.truth
    counted = np.array([name in truth for name in scores.ids], bool)
    if not counted.any():
        raise RequestError(
            f"none of the {len(scores.ids)} scored videos is in subset {annotation.subset!r}",
            annotation.path,
            "give the annotation file that the batches were made from, or another --subset",
        )
    index = dict(zip(truth, classes_of(list(truth.values()), list(truth), scores.labels, annotation.path)))
    classes = np.array([index.get(name, NO_CLASS) for name in scores.ids], np.int32)
    known = {item.id: item for item in scores.absent}
    scored = set(scores.ids)
    absent = [
        replace(known[name], label=label) if name in known else Absent(name, label, MISSING, "it is not in the batches")
        for name, label in truth.items()
        if name not in scored
    ]
    origin = replace(scores.origin, subset=annotation.subset, annotation_sha256=annotation.sha256)
    return replace(scores, truth=classes, counted=counted, absent=absent, origin=origin)


def first_videos(scores: Scores, number: int) -> Scores:
    """Return the scores of the first ``number`` scored videos of the subset; absent videos are in no place of theirs.

    Raises:
        RequestError: there are not that many.
    """
    chosen = np.flatnonzero(scores.counted)[:number]
    if len(chosen) < number:
        raise RequestError(f"asks for {number} videos, {len(chosen)} of the subset have scores", "--first-videos")
    place = np.full(len(scores.ids), -1, np.int32)
    place[chosen] = np.arange(number)
    rows = place[scores.clip_video] >= 0
    return replace(
        scores,
        ids=[scores.ids[index] for index in chosen],
        truth=scores.truth[chosen],
        counted=scores.counted[chosen],
        clip_video=place[scores.clip_video[rows]],
        logits=scores.logits[rows],
        absent=[],
        views=None if scores.views is None else scores.views[rows],
    )
