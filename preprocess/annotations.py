"""ActivityNet-style annotation files: labels, and per video its subset, label and segment."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

from pipeline.artifact import digest_of, load_json, sha256_file
from pipeline.errors import RequestError
from pipeline.naming import is_plain_name

SUBSETS = {"train": "training", "val": "validation", "test": "testing"}
_SHAPE = "expected {'labels': [...], 'database': {id: {'subset': ..., 'annotations': {'label': ..., 'segment': ...}}}}"
_TODO = "write one with python -m scripts.annotate"


@dataclass(frozen=True)
class Entry:
    """One video of the annotation.

    Attributes:
        label: Class name; None where the annotation gives none (test subsets).
        segment: First frame and last frame + 1, counted from 1; None for the whole video.
        video_path: Where the video is, if the annotation says so itself.
    """

    id: str
    label: Optional[str]
    segment: Optional[Tuple[int, int]]
    video_path: Optional[str]


@dataclass(frozen=True)
class Annotation:
    """The chosen subset of an annotation file, in file order."""

    path: str
    sha256: str
    subset: str
    labels: List[str]
    entries: List[Entry]


def read_annotation(path: str, subset: str) -> Annotation:
    """Read the entries of one subset.

    Args:
        path: The JSON file.
        subset: training, validation or testing (or train, val, test).

    Raises:
        RequestError: missing file, another shape, an empty subset, a label outside the list, an id that is no plain
            name (it would lead out of the dataset's folder), a malformed segment.
    """
    subset = SUBSETS.get(subset, subset)
    data = load_json(path, _TODO)
    database = data.get("database") if isinstance(data, dict) else None
    labels = data.get("labels") if isinstance(data, dict) else None
    if not isinstance(database, dict) or not isinstance(labels, list) or not labels:
        raise RequestError(f"is JSON of another shape; {_SHAPE}", path)
    if not all(isinstance(label, str) for label in labels) or len(set(labels)) != len(labels):
        raise RequestError("'labels' holds something other than distinct strings", path)
    odd = [label for label in labels if not is_plain_name(label)]
    if odd:
        raise RequestError(f"label {odd[0]!a} is not a plain name", path, "rename it: labels are folder names")
    entries = [
        _entry(str(name), item, set(labels), path)
        for name, item in database.items()
        if _subset(str(name), item, path) == subset
    ]
    if not entries:
        found = sorted({str(item.get("subset")) for item in database.values()})
        raise RequestError(
            f"has no video of subset {subset!r}", path, f"choose --subset from: {', '.join(found) or 'none'}"
        )
    return Annotation(path, sha256_file(path), subset, labels, entries)


def limited(annotation: Annotation, limit: int) -> Annotation:
    """Keep ``limit`` videos, spread evenly over the classes and always the same ones; 0 keeps all.

    Within a class the order is that of the SHA-256 of the ids, so the choice depends neither on the order of the file
    nor on a random generator.
    """
    if not 0 < limit < len(annotation.entries):
        return annotation
    classes: Dict[Optional[str], List[Entry]] = {}
    for entry in sorted(annotation.entries, key=lambda entry: hashlib.sha256(entry.id.encode()).digest()):
        classes.setdefault(entry.label, []).append(entry)
    rounds = ((turn, str(label), entry.id) for label, found in classes.items() for turn, entry in enumerate(found))
    chosen = {name for _, _, name in sorted(rounds)[:limit]}
    kept = [entry for entry in annotation.entries if entry.id in chosen]
    digest = digest_of([annotation.sha256, limit])
    return Annotation(annotation.path, digest, annotation.subset, annotation.labels, kept)


def _subset(name: str, item: Any, path: str) -> str:
    if not isinstance(item, dict) or not isinstance(item.get("subset"), str):
        raise RequestError(f"entry {name!r} is of another shape; {_SHAPE}", path)
    return str(item["subset"])


def _entry(name: str, item: Dict[str, Any], labels: set, path: str) -> Entry:
    if not is_plain_name(name):
        raise RequestError(
            f"video id {name!a} is not a plain name", path, "rename it: ids may not lead to other folders"
        )
    about = item.get("annotations", {})
    if not isinstance(about, dict):
        raise RequestError(f"entry {name!r} is of another shape; {_SHAPE}", path)
    label = about.get("label")
    if label is not None and (not isinstance(label, str) or label not in labels):
        raise RequestError(
            f"label {label!r} of video {name!r} is not in 'labels'", path, "correct the label or the list"
        )
    video_path = item.get("video_path")
    if video_path is not None and not isinstance(video_path, str):
        raise RequestError(f"video_path of {name!r} is not a string", path)
    return Entry(name, label, _segment(name, about.get("segment"), path), video_path)


def _segment(name: str, segment: object, path: str) -> Optional[Tuple[int, int]]:
    if segment is None:
        return None
    if not isinstance(segment, list) or len(segment) != 2 or not all(type(value) is int for value in segment):
        raise RequestError(f"segment of {name!r} is {segment!r}, expected [first frame, last frame + 1]", path)
    if segment[0] < 1:
        raise RequestError(f"segment of {name!r} begins at frame {segment[0]}, frames are counted from 1", path)
    return (segment[0], segment[1])
