"""ActivityNet-style annotation files: labels, and per video its subset, label and segment."""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

from clip2om.pipeline.artifact import load_json, sha256_file
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.naming import full_subset, is_plain_name
from clip2om.preprocess.entries import Annotation, Entry

_SHAPE = "expected {'labels': [...], 'database': {id: {'subset': ..., 'annotations': {'label': ..., 'segment': ...}}}}"
# A year at 60 frames per second.
_MOST_FRAMES = 2_000_000_000
_TODO = "write one with python -m scripts.annotate"


def read(path: str, subset: str, first_frame: int = 1) -> Annotation:
    """Read the entries of one subset.

    Args:
        path: The JSON file.
        subset: training, validation or testing.
        first_frame: Number of a video's first frame: no segment begins before it.

    Raises:
        RequestError: missing file, another shape, an empty subset, a label outside the list, an id that is no plain
            name (it would lead out of the dataset's folder), a malformed segment.
    """
    data = load_json(path, _TODO)
    _refuse_official(data, path)
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
        _entry(str(name), item, set(labels), first_frame, path)
        for name, item in database.items()
        if full_subset(_subset(str(name), item, path)) == subset
    ]
    if not entries:
        found = sorted({str(item.get("subset")) for item in database.values()})
        raise RequestError(
            f"has no video of subset {subset!r}", path, f"choose --subset from: {', '.join(found) or 'none'}"
        )
    return Annotation(path, sha256_file(path), subset, labels, entries)


def _refuse_official(data: Any, path: str) -> None:
    """Tell the file that ActivityNet itself publishes, in which a video has a list of labelled times."""
    database = data.get("database") if isinstance(data, dict) else None
    first = next(iter(database.values()), None) if isinstance(database, dict) else None
    if isinstance(first, dict) and isinstance(first.get("annotations"), list):
        raise RequestError(
            "is ActivityNet's own form, with a list of labelled times per video",
            path,
            "cut the videos into one file per label, and give each an entry with 'annotations': {'label': ...}",
        )


def _subset(name: str, item: Any, path: str) -> str:
    if not isinstance(item, dict) or not isinstance(item.get("subset"), str):
        raise RequestError(f"entry {name!r} is of another shape; {_SHAPE}", path)
    return str(item["subset"])


def _entry(name: str, item: Dict[str, Any], labels: set, first_frame: int, path: str) -> Entry:
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
    place = None if video_path is None else video_path.replace("\\", "/")
    return Entry(name, label, _segment(name, about.get("segment"), first_frame, path), place)


def _segment(name: str, segment: object, first_frame: int, path: str) -> Optional[Tuple[int, int]]:
    if segment is None:
        return None
    if not isinstance(segment, list) or len(segment) != 2 or not all(type(value) is int for value in segment):
        raise RequestError(f"segment of {name!r} is {segment!r}, expected [first frame, last frame + 1]", path)
    if max(map(abs, segment)) > _MOST_FRAMES:
        raise RequestError(f"segment of {name!r} names frame beyond {_MOST_FRAMES}, no video is so long", path)
    if segment[0] < first_frame:
        raise RequestError(
            f"segment of {name!r} begins at frame {segment[0]}, frames are counted from {first_frame}", path
        )
    return (segment[0], segment[1])
