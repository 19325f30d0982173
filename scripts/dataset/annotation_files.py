"""A split and the frame counts of its videos, written in the formats that cards may name under dataset.format."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence

from clip2om.pipeline.frame_names import FrameNames

_SHORT = {"training": "train", "validation": "val", "testing": "test"}


@dataclass(frozen=True)
class Counted:
    """One video of a split: its id, class (None without one), subset, class folder, and its frames, None if unknown.

    ``inside`` is the way to it from the folder of the videos where it is not ``<label>/<id>``.
    """

    id: str
    label: Optional[str]
    subset: str
    folder: str
    frames: Optional[int]
    inside: Optional[str] = None


@dataclass(frozen=True)
class Format:
    """One of the formats: its files, and how its frames are usually called."""

    name: str
    names: FrameNames
    words: str


FORMATS = {
    "activitynet": Format("activitynet", FrameNames(), "one JSON file per split, all subsets"),
    "rawframes": Format(
        "rawframes", FrameNames("img_{:05d}.jpg"), "lines '<class>/<video> <frames> <label>' (c3d_mmaction, c3d_paddle)"
    ),
    "list": Format("list", FrameNames("{:05d}.jpg"), "lines '<frame folder> <label>' (c3d_tf)"),
}


def activitynet(labels: Sequence[str], videos: Sequence[Counted]) -> str:
    """Return the JSON text; frames count from 1, a segment's end is exclusive, an uncountable video has none."""
    database: Dict[str, Any] = {}
    for video in videos:
        about: Dict[str, Any] = {} if video.label is None else {"label": video.label}
        if video.frames is not None:
            about["segment"] = [1, video.frames + 1]
        database[video.id] = {"subset": video.subset, "annotations": about}
        if video.inside is not None:
            database[video.id]["video_path"] = video.inside
    return json.dumps({"labels": list(labels), "database": database}, ensure_ascii=False) + "\n"


def lines(
    form: str, labels: Sequence[str], videos: Sequence[Counted], root: str, shuffle: Optional[int]
) -> Dict[str, str]:
    """Return the text of each subset (``train``, ``val``) as a list with class numbers from 0.

    Args:
        form: ``rawframes`` or ``list``.
        labels: Class names in class order.
        videos: Those that have frames and a class; the order of the lines.
        root: Folder of the class folders, with which the lines of ``list`` begin.
        shuffle: Seed for another order of the lines, which training wants; None keeps the order.
    """
    found: Dict[str, List[str]] = {}
    for video in videos:
        if video.label is None or not video.frames:
            continue
        number, path = labels.index(video.label), video.inside or f"{video.folder}/{video.id}"
        line = f"{path} {video.frames} {number}" if form == "rawframes" else f"{root.rstrip('/')}/{path} {number}"
        found.setdefault(_SHORT[video.subset], []).append(line)
    for texts in found.values():
        if shuffle is not None:
            random.Random(shuffle).shuffle(texts)
    return {subset: "\n".join(texts) + "\n" for subset, texts in found.items()}
