"""Annotations in every format that a card may name, and the choice of a part of one."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Dict, List, Optional

from clip2om.pipeline.artifact import digest_of
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.naming import full_subset
from clip2om.preprocess import activitynet, class_folders, lists
from clip2om.preprocess.entries import Annotation, Entry

_SHORT = {"training": "train", "validation": "val", "testing": "test"}


def find_annotation(card: Card, given: Optional[str], videos: Optional[str], subset: Optional[str]) -> str:
    """Return the path of the annotation: the user's, or the card's, in which ``{subset}`` becomes train, val or test.

    Args:
        card: Its section [dataset] has the defaults.
        given: --annotation-path.
        videos: --video-path: for ``folders``, the dataset itself.
        subset: --subset.

    Raises:
        RequestError: the card's list is of another subset than the one asked for; a list holds one only.
    """
    dataset = card.dataset
    if given:
        return given
    if dataset.format == "folders" and videos:
        return videos
    default = full_subset(dataset.subset)
    wanted = full_subset(subset) if subset else default
    if dataset.format in ("list", "rawframes") and "{subset}" not in dataset.annotation and wanted != default:
        raise RequestError(
            f"subset {wanted!r} is asked for, the card's list is of {default!r}",
            dataset.annotation,
            "pass --annotation-path with the list of that subset",
        )
    return str(card.resolve(dataset.annotation.replace("{subset}", _SHORT.get(wanted, wanted))))


def read_annotation(card: Card, path: str, subset: str) -> Annotation:
    """Read the entries of one subset in the format that the card's section [dataset] names.

    Args:
        card: Gives the format, the class names of lists and the number of the first frame.
        path: The file, or for ``folders`` the folder of class folders.
        subset: training, validation or testing, by any of their names.

    Raises:
        RequestError: nothing there, another shape or other columns, an empty subset, a label outside the list, a
            malformed segment, a video that occurs twice, or a name that would lead out of the dataset's folder.
    """
    subset = full_subset(subset)
    if card.dataset.format == "activitynet":
        return activitynet.read(path, subset, card.dataset.first_frame)
    if card.dataset.format == "folders":
        return class_folders.read(path, subset, card.labels())
    return lists.read(path, subset, card)


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
    return replace(annotation, sha256=digest_of([annotation.sha256, limit]), entries=kept)
