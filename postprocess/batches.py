"""What was given to the runner: files, the clips in their slots, and the videos the clips belong to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

import numpy as np

from pipeline.artifact import sha256_file
from pipeline.card import Card
from pipeline.errors import RequestError
from pipeline.manifest import FILE_NAME, Manifest, read_manifest
from postprocess.annotation import Annotation
from postprocess.scores import SKIPPED, Absent, Origin, classes_of


@dataclass(frozen=True)
class Batches:
    """The description that scores are read by.

    Attributes:
        where: File the description was read from.
        files: Names of the input files, to which runners append their own endings.
        rows: Rows of one result file, padding included.
        clips: int32 (clips, 2), number of the file and row in it; the clips of a video follow each other.
        counts: int32 (videos,), clips of each video.
        truth: int32 (videos,), class of each video.
        names: Class name of each video, None where the annotation gives none.
        labels: Class names, one per output column.
        absent: Videos that were skipped when the batches were made.
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
    clips = np.array([clip[:2] for video in manifest.videos for clip in video.clips], np.int32).reshape(-1, 2)
    _check_places(clips, (len(manifest.files), manifest.tensor.batch), path)
    return Batches(
        where=path,
        files=[file.name for file in manifest.files],
        rows=manifest.tensor.batch,
        clips=clips,
        counts=np.array([len(video.clips) for video in manifest.videos], np.int32),
        ids=ids,
        truth=classes_of(names, ids, labels, path),
        names=names,
        labels=labels,
        absent=[Absent(video.id, video.label, SKIPPED, video.reason) for video in manifest.skipped],
        origin=_origin(manifest, path, card.scores.activation),
    )


def from_info(path: Path, annotation: Annotation, card: Card) -> Batches:
    """Describe batches by the recipes' two-column ``.info``: one file ``<video id>.bin`` per video.

    A file has as many rows as the card's batch; clips beyond it do not exist in this layout, although the count in
    the second column goes on (the 3d_resnet recipe does so).

    Raises:
        RequestError: missing file, or a line that is not an id and a count of 1 or more.
    """
    pairs = _read_info(path)
    rows, ids = card.input.batch, [name for name, _ in pairs]
    counts = np.array([min(count, rows) for _, count in pairs], np.int32)
    starts = np.cumsum(counts) - counts
    file = np.repeat(np.arange(len(ids), dtype=np.int32), counts)
    row = np.arange(len(file), dtype=np.int32) - np.repeat(starts, counts).astype(np.int32)
    labels = card.labels() or annotation.labels
    names = [annotation.truth.get(name) for name in ids]
    return Batches(
        where=path,
        files=[f"{name}.bin" for name in ids],
        rows=rows,
        clips=np.stack([file, row], axis=1),
        counts=counts,
        ids=ids,
        truth=classes_of(names, ids, labels, annotation.path),
        names=names,
        labels=labels,
        absent=[],
        origin=Origin(
            card=card.name,
            dataset=path.stem,
            subset=annotation.subset,
            layout="per-video",
            activation=card.scores.activation,
            annotation_sha256=annotation.sha256,
            manifest_sha256=None,
            fingerprint=None,
            scores_sha256="",
            format="",
            dropped_clips=sum(count for _, count in pairs) - int(counts.sum()),
        ),
    )


def _origin(manifest: Manifest, path: Path, activation: str) -> Origin:
    return Origin(
        card=manifest.card,
        dataset=manifest.dataset,
        subset=manifest.subset,
        layout=manifest.layout,
        activation=activation,
        annotation_sha256=manifest.annotation_sha256,
        manifest_sha256=sha256_file(path),
        fingerprint=manifest.fingerprint.digest,
        scores_sha256="",
        format="",
        dropped_clips=sum(video.dropped_clips for video in manifest.videos),
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


def _read_info(path: Path) -> List[Tuple[str, int]]:
    if not path.is_file():
        raise RequestError("no such file", path, "give the .info file that the recipe's preprocessing wrote")
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        name, _, count = line.rstrip().rpartition(" ")
        if not name or not count.isdigit() or int(count) < 1:
            raise RequestError(f"line {number} is {line!r}, expected '<video id> <number of clips>'", path)
        pairs.append((name, int(count)))
    if len({name for name, _ in pairs}) != len(pairs) or not pairs:
        raise RequestError("holds no video, or one twice", path, "give the .info file of one run")
    return pairs
