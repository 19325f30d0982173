"""What was given to the runner: files, the clips in their slots, and the videos the clips belong to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import List, Optional, Tuple

import numpy as np

from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import FILE_NAME, Manifest, read_manifest
from clip2om.postprocess.scores import SKIPPED, VIDEO, Absent, Origin, classes_of


@dataclass(frozen=True)
class Batches:
    """The description that scores are read by.

    Attributes:
        where: File the description was read from.
        files: Names of the input files, to which runners append their own endings.
        rows: Rows of one result file, padding included: one per clip, however items hold several clips.
        clips: int32 (clips, 2), number of the file and row in it; the clips of a video follow each other.
        counts: int32 (videos,), clips of each video.
        truth: int32 (videos,), class of each video.
        names: Class name of each video, None where the annotation gives none.
        labels: Class names, one per output column.
        absent: Videos that were skipped when the batches were made.
        clips_per_item: Clips of one item of the model's batch; see :class:`pipeline.tensor.TensorSpec`.
        averages: The card says that the model gives one row per item, which a record of our own runner overrules.
        views: int32 (clips, 2), clip of its video and crop of each, where rows are views.
        frames: Rows of a result file per clip: one for each of its frames, where the graph leaves their mean to us.
    """

    where: Path
    files: List[str]
    rows: int
    clips: np.ndarray
    counts: np.ndarray
    ids: List[str]
    truth: np.ndarray
    names: List[Optional[str]]
    labels: List[str]
    absent: List[Absent]
    origin: Origin
    clips_per_item: int = 1
    averages: bool = False
    views: Optional[np.ndarray] = None
    frames: int = 1


def from_manifest(folder: Path, card: Card) -> Batches:
    """Describe a folder that ``python -m preprocess`` wrote.

    Raises:
        RequestError: no manifest, one of another card, one that contradicts itself, or a label the model lacks.
    """
    path = folder / FILE_NAME
    manifest = read_manifest(folder)
    if manifest.card != card.name and manifest.card_digest != card.digest("input", "clips", "transform"):
        raise RequestError(
            f"the batches were made for card {manifest.card!r}, not {card.name!r}",
            path,
            f"add --model {manifest.card}",
        )
    _check(manifest, path)
    labels = card.labels() or manifest.labels
    ids = [video.id for video in manifest.videos]
    names = [video.label for video in manifest.videos]
    classes_of([video.label for video in manifest.skipped], [video.id for video in manifest.skipped], labels, path)
    found = np.array([clip[:2] for video in manifest.videos for clip in video.clips], np.int64).reshape(-1, 2)
    _check_places(found, (len(manifest.files), manifest.tensor.clips), path)
    clips = found.astype(np.int32)
    return Batches(
        where=path,
        files=[file.name for file in manifest.files],
        rows=manifest.tensor.clips,
        clips=clips,
        counts=np.array([len(video.clips) for video in manifest.videos], np.int32),
        ids=ids,
        truth=classes_of(names, ids, labels, path),
        names=names,
        labels=labels,
        absent=[Absent(video.id, video.label, SKIPPED, video.reason) for video in manifest.skipped],
        origin=_origin(manifest, path, card),
        clips_per_item=manifest.tensor.clips_per_item,
        averages=card.export.average_clips and manifest.tensor.clips_per_item > 1,
        views=_views(manifest, path),
        frames=card.clips.frames if card.scores.rows == "frame" else 1,
    )


def _views(manifest: Manifest, path: Path) -> Optional[np.ndarray]:
    """Return (clip, crop) of every row, None where each row is a clip."""
    if not any(video.views for video in manifest.videos):
        return None
    if any(len(video.views) != len(video.clips) for video in manifest.videos):
        raise RequestError("a video has another number of views than of clips", path, "preprocess again")
    return np.array([view for video in manifest.videos for view in video.views], np.int32).reshape(-1, 2)


def averaged(batches: Batches) -> Batches:
    """Describe the same batches for a model that gives one row per item, the mean over the item's clips.

    Raises:
        RequestError: a video does not fill its items.
    """
    size = batches.clips_per_item
    first = batches.clips[::size]
    whole = not (len(batches.clips) % size or (batches.counts % size).any() or (first[:, 1] % size).any())
    if not whole or (np.repeat(first, size, axis=0) + _within(size, len(first)) != batches.clips).any():
        raise RequestError(f"a video does not have {size} clips in one item", batches.where, "preprocess again")
    clips = np.stack([first[:, 0], first[:, 1] // size], axis=1)
    origin = replace(batches.origin, rows=VIDEO)
    counts = batches.counts // size
    return replace(batches, rows=batches.rows // size, clips=clips, counts=counts, origin=origin, views=None)


def _within(size: int, items: int) -> np.ndarray:
    """Return (0, k) for each clip k of each item: what it adds to the place of the item's first clip."""
    slots = np.tile(np.arange(size, dtype=np.int32), items)
    return np.stack([np.zeros_like(slots), slots], axis=1)


def _origin(manifest: Manifest, path: Path, card: Card) -> Origin:
    return Origin(
        card=manifest.card,
        dataset=manifest.dataset,
        subset=manifest.subset,
        layout=manifest.layout,
        activation=card.scores.activation,
        annotation_sha256=manifest.annotation_sha256,
        manifest_sha256=sha256_file(path),
        fingerprint=manifest.fingerprint.digest,
        scores_sha256="",
        format="",
        dropped_clips=sum(video.dropped_clips for video in manifest.videos),
        views=manifest.fingerprint.views,
        crops=max(len(manifest.crops), 1),
        averaging=card.scores.averaging,
        consensus=card.clips.frames if card.scores.rows == "frame" else 1,
    )


def _check(manifest: Manifest, path: Path) -> None:
    todo = "run python -m preprocess again"
    found = len(manifest.videos) + len(manifest.skipped)
    if found != manifest.expected:
        raise RequestError(f"{manifest.expected} videos were expected, but it holds {found}", path, todo)
    ids = {video.id for video in manifest.videos} | {video.id for video in manifest.skipped}
    if len(ids) != found:
        raise RequestError("it holds a video twice", path, todo)
    empty = next((video.id for video in manifest.videos if not video.clips), None)
    if empty is not None or not manifest.videos:
        raise RequestError("it holds no video" if empty is None else f"video {empty!r} has no clip", path, todo)


def _check_places(clips: np.ndarray, limits: Tuple[int, int], path: Path) -> None:
    bad = np.flatnonzero(((clips < 0) | (clips >= limits)).any(axis=1))
    if bad.size:
        file, slot = clips[bad[0]].tolist()
        raise RequestError(
            f"a clip lies in slot {slot} of file {file}, but there are {limits[0]} files of {limits[1]} slots",
            path,
            "run python -m preprocess again",
        )
    if len(np.unique(clips, axis=0)) < len(clips):
        raise RequestError("two clips lie in the same slot", path, "run python -m preprocess again")
