"""What an annotation of any format comes to: the videos of one subset in their order, with label, segment and place."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Dict, List, Optional, Tuple

from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.naming import is_plain_name


@dataclass(frozen=True)
class Entry:
    """One video of the annotation.

    Attributes:
        label: Class name; None where the annotation gives none (test subsets).
        segment: First frame and last frame + 1, as the frames are numbered; None for the whole video.
        video_path: Where the video is, if the annotation says so itself; relative to the folder of the videos.
    """

    id: str
    label: Optional[str]
    segment: Optional[Tuple[int, int]]
    video_path: Optional[str]


@dataclass(frozen=True)
class Annotation:
    """The chosen subset of an annotation, in its order; ``labels`` are the class names in class order.

    ``passed_over`` names what lies among the videos and is none, by its name.
    """

    path: str
    sha256: str
    subset: str
    labels: List[str]
    entries: List[Entry]
    passed_over: List[str] = field(default_factory=list)


def with_ids(entries: List[Entry], path: str) -> List[Entry]:
    """Check the ids of entries that were named by a path; where the last part of it is not enough, add the label.

    Raises:
        RequestError: an id is no plain name, or two videos of one class have the same.
    """
    names = [entry.id for entry in entries]
    if len(set(names)) < len(names):
        entries = [replace(entry, id=f"{entry.label}-{entry.id}") for entry in entries]
    seen: Dict[str, Optional[str]] = {}
    for entry in entries:
        if not is_plain_name(entry.id):
            raise RequestError(f"video {entry.video_path!a} has no plain name", path, "rename it")
        if entry.id in seen:
            both = f"{seen[entry.id]!r} and {entry.video_path!r}"
            raise RequestError(f"video {entry.id!r} occurs twice ({both})", path, "leave one of them out, or rename it")
        seen[entry.id] = entry.video_path
    return entries
