"""Datasets without an annotation file: a folder per class, in it a folder of frames or a video file per video."""

from __future__ import annotations

import os
from typing import List, Tuple

from clip2om.pipeline.artifact import digest_of
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.naming import full_subset, is_plain_name, is_video, same_letters, without_suffix, written
from clip2om.preprocess.entries import Annotation, Entry, with_ids


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
    names = {folder: _class_of(folder, labels) for folder in classes}
    unknown = [folder for folder, name in names.items() if labels and name not in labels]
    if unknown:
        raise RequestError(f"folder {unknown[0]!a} is no class of the card", root, "move it away, or correct its name")
    odd = [name for name in names.values() if not is_plain_name(name)]
    if odd:
        raise RequestError(f"folder {odd[0]!a} is not a plain name", root, "rename it")
    entries, others = [], [name for name in sorted(os.listdir(root)) if name not in names and name[0] != "."]
    for folder, label in names.items():
        videos, rest = _videos(os.path.join(root, folder))
        others += [f"{folder}/{name}" for name in rest]
        entries += [
            Entry(without_suffix(written(name)), label, None, os.path.join(inside, folder, name)) for name in videos
        ]
    if not entries:
        raise RequestError("holds no video", root, "expected <class>/<video folder or file>")
    digest = digest_of([entry.video_path for entry in entries])
    found = with_ids(entries, root)
    return Annotation(path, digest, subset, labels or list(names.values()), found, [written(name) for name in others])


def _class_of(folder: str, labels: List[str]) -> str:
    """Return the class that a folder is of: its name, or the label that is the same but for the spelling of accents."""
    known = {same_letters(label): label for label in labels}
    return folder if folder in labels else known.get(same_letters(folder), written(folder))


def _subset_folder(path: str, subset: str, labels: List[str]) -> str:
    """Return the name of the chosen subset's folder, empty where there are none; a class may be called ``train``."""
    known = ("training", "validation", "testing", full_subset(subset))
    inside = [
        name for name in sorted(os.listdir(path)) if os.path.isdir(os.path.join(path, name)) and name not in labels
    ]
    found = [name for name in inside if full_subset(name) in known]
    if len(found) < len(inside):
        found = [name for name in found if name == name.lower()]  # among classes one may be called Test
    chosen = sorted((name for name in found if full_subset(name) == subset), key=lambda name: (name != subset, name))
    if found and not chosen:
        raise RequestError(f"has no folder of subset {subset!r}", path, f"choose --subset from: {', '.join(found)}")
    return chosen[0] if chosen else ""


def _videos(folder: str) -> Tuple[List[str], List[str]]:
    """Return the names of videos and of everything else in a folder; hidden files are neither."""
    with os.scandir(folder) as found:
        kinds = {item.name: item.is_dir() or is_video(item.name) for item in found if item.name[0] != "."}
    return sorted(name for name in kinds if kinds[name]), sorted(name for name in kinds if not kinds[name])
