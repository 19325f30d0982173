"""What a folder of videos tells: classes, and how the frames of videos are called."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import List, Tuple

from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.preprocess import class_folders
from clip2om.preprocess.entries import Annotation
from clip2om.scripts.card.draft import Draft

_FRAME = re.compile(r"(.*?)(\d+)(\.(?:jpe?g|png|bmp))", re.IGNORECASE)


def describe(draft: Draft, videos: Path, card: Path, console: Console) -> List[str]:
    """Enter a folder of class folders into a draft and return its classes.

    Raises:
        RequestError: it is none, or holds no video.
    """
    subset, found = _look(videos)
    where = str(videos.absolute())
    draft.set(
        "dataset", name=_plain(videos.absolute().name), annotation=where, videos=where, format="folders", subset=subset
    )
    labels = list(found.labels or [])
    classes = draft.sections["model"].get("classes", 0)
    console.say(f"{videos}: {len(found.entries)} videos of {len(labels)} classes ({subset})")
    if len(labels) == classes:
        draft.set("dataset", labels=f"{card.stem}_labels.txt")
        # Training scripts sort class folders; only the trainer knows whether this one did.
        draft.doubt("dataset", "labels")
    else:
        draft.set("dataset", labels="")
        console.warn(
            f"{videos} has {len(labels)} class folders, the network gives {classes} scores: give the classes of its "
            "training, one per line in their order, as dataset.labels"
        )
    draft.set("dataset", **_frames(videos, found))
    return labels if len(labels) == classes else []


def _look(videos: Path) -> Tuple[str, Annotation]:
    error = RequestError("no such folder", videos, "check VIDEOS")
    for subset in ("validation", "testing", "training"):
        try:
            return subset, class_folders.read(str(videos), subset, [])
        except RequestError as reason:
            error = reason
    raise error


def _frames(videos: Path, found: Annotation) -> "dict[str, object]":
    """Return how the frames of the first folder of frames are called; nothing where videos are files."""
    for entry in found.entries:
        folder = videos / (entry.video_path or "")
        if not folder.is_dir():
            continue
        matches = [match for name in sorted(os.listdir(folder)) if (match := _FRAME.fullmatch(name))]
        if not matches:
            continue
        widths = {len(match[2]) for match in matches}
        padded = len(widths) == 1 and len(matches[0][2]) > 1
        number = f"{{:0{widths.pop()}d}}" if padded else "{:d}"
        first = min(int(match[2]) for match in matches)
        return {"frame_name": f"{matches[0][1]}{number}{matches[0][3]}", "first_frame": first}
    return {}


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "videos"
