"""Datasets without an annotation file: a folder per class, in it a folder of frames or a video file per video."""

from __future__ import annotations

import os
from typing import List

from clip2om.pipeline.artifact import digest_of
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.naming import is_plain_name
from clip2om.preprocess.entries import SUBSETS, Annotation, Entry, with_ids
from clip2om.preprocess.sources import is_video, without_suffix


def read(path: str, subset: str, labels: List[str]) -> Annotation:
    """List the videos of class folders, classes and videos in the order of their characters' codes.

    Where the folder has a folder per subset (``val`` or ``validation`` and so on), the chosen one is taken.

    Args:
        path: The dataset.
        subset: training, validation or testing.
        labels: Class names in class order; without any, the folders present. (The r2plus1d_mindspore recipe always
            counts those, so that a missing class shifts the labels after it.)

    Raises:
        RequestError: no such folder, no video in it, a class folder that is not among ``labels``, or the same video
            twice in one class.
    """
    if not os.path.isdir(path):
        raise RequestError("no such folder", path, "pass --video-path DIR with a folder per class")
    inside = _subset_folder(path, subset, labels)
    root = os.path.join(path, inside)
    classes = [name for name in sorted(os.listdir(root)) if os.path.isdir(os.path.join(root, name)) and name[0] != "."]
    unknown = [name for name in classes if labels and name not in labels]
    if unknown:
        raise RequestError(f"folder {unknown[0]!a} is no class of the card", root, "move it away, or correct its name")
    odd = [name for name in classes if not is_plain_name(name)]
    if odd:
        raise RequestError(f"folder {odd[0]!a} is not a plain name", root, "rename it")
    entries = [
        Entry(without_suffix(name), label, None, os.path.join(inside, label, name))
        for label in classes
        for name in _videos(os.path.join(root, label))
    ]
    if not entries:
        raise RequestError("holds no video", root, "expected <class>/<video folder or file>")
    digest = digest_of([entry.video_path for entry in entries])
    return Annotation(path, digest, subset, labels or classes, with_ids(entries, root))


def _subset_folder(path: str, subset: str, labels: List[str]) -> str:
    """Return the name of the chosen subset's folder, empty where there are none; a class may be called ``train``."""
    words = {name: full for short, full in SUBSETS.items() for name in (full, short) if name not in labels}
    found = [name for name in words if os.path.isdir(os.path.join(path, name))]
    chosen = [name for name in found if words[name] == subset]
    if found and not chosen:
        raise RequestError(f"has no folder of subset {subset!r}", path, f"choose --subset from: {', '.join(found)}")
    return chosen[0] if chosen else ""


def _videos(folder: str) -> List[str]:
    with os.scandir(folder) as found:
        return sorted(item.name for item in found if item.name[0] != "." and (item.is_dir() or is_video(item.name)))
