"""A dataset of class folders: which videos it has, and its seeded division into training and validation."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.naming import VIDEO_SUFFIXES, is_plain_name


@dataclass(frozen=True)
class Videos:
    """Names ``<class>/<video>`` in the order of their characters' codes, class by class, and what was passed over."""

    names: List[str]
    others: List[str]

    @property
    def classes(self) -> List[str]:
        """Class folders, in that order."""
        return list(dict.fromkeys(name.partition("/")[0] for name in self.names))


@dataclass(frozen=True)
class Division:
    """Names of the two parts, each sorted."""

    train: List[str]
    val: List[str]


def find_videos(root: Path) -> Videos:
    """List video files and folders of frames below the class folders of ``root``; hidden ones are passed over.

    Raises:
        RequestError: no such folder, no class folder in it, an empty class folder, a name that cannot stand on a line,
            or two videos of one class that differ in their ending alone.
    """
    if not root.is_dir():
        raise RequestError("no such folder", root, "check VIDEOS")
    names: List[str] = []
    others = [path.name for path in _visible(root) if not path.is_dir()]
    folders = [path for path in _visible(root) if path.is_dir()]
    if not folders:
        raise RequestError("holds no class folder", root, "expected VIDEOS/<class>/<video>")
    for folder in folders:
        found = [path for path in _visible(folder) if path.is_dir() or path.suffix.lower() in VIDEO_SUFFIXES]
        others += [f"{folder.name}/{path.name}" for path in _visible(folder) if path not in found]
        if not found:
            raise RequestError("holds no video", folder, "remove the folder: it would be a class of its own")
        _check_twins(found)
        names += [f"{folder.name}/{path.name}" for path in found]
    return Videos(names, others)


def divide(names: Sequence[str], share: float, seed: Optional[int]) -> Division:
    """Shuffle ``names`` and take the first floor(share x number) for training, the rest for validation.

    With a share of 0.8 and the number of videos as the seed (None) this is the division of the r2plus1d_mindspore
    recipe, whose videos of one group come into both parts: accuracies on it are not comparable with UCF101's splits.

    Raises:
        RequestError: one of the parts would be empty.
    """
    shuffled = list(names)
    random.Random(len(shuffled) if seed is None else seed).shuffle(shuffled)
    cut = math.floor(share * len(shuffled))
    if not 0 < cut < len(shuffled):
        part = "training" if not cut else "validation"
        raise RequestError(f"{share:g} of {len(shuffled)} videos leaves none for {part}", "--train-share")
    return Division(sorted(shuffled[:cut]), sorted(shuffled[cut:]))


def class_numbers(classes: Sequence[str], labels: Optional[Sequence[str]], where: object) -> Dict[str, int]:
    """Return the number of each class, from 0: its place in ``labels``, else in alphabetical order.

    That order does not regard upper case and lower case, as classInd.txt of UCF101 does not, unlike that of the
    r2plus1d_mindspore recipe.

    Raises:
        RequestError: a class that is not in ``labels``.
    """
    order = list(labels) if labels is not None else sorted(classes, key=lambda name: (name.lower(), name))
    unknown = next((name for name in classes if name not in order), None)
    if unknown is not None:
        raise RequestError(f"class folder {unknown!r} is not among the {len(order)} labels", where, "check --labels")
    return {name: number for number, name in enumerate(order)}


def _visible(folder: Path) -> List[Path]:
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    odd = next((path.name for path in found if not is_plain_name(path.name)), None)
    if odd is not None:
        raise RequestError(f"{odd!a} is not a plain name", folder, "rename it")
    return found


def _check_twins(paths: Sequence[Path]) -> None:
    seen: Dict[str, Path] = {}
    pairs: List[Tuple[str, Path]] = [(path.name if path.is_dir() else path.stem, path) for path in paths]
    for name, path in pairs:
        twin = seen.setdefault(name, path)
        if twin != path:
            raise RequestError(f"and {path.name} are two videos of one name", twin, "rename one of them")
