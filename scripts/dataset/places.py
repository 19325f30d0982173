"""Where the videos of a split lie: datasets are handed on with other suffixes, folders and ids than in their lists."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional

from clip2om.pipeline.naming import full_subset
from clip2om.scripts.dataset.split_files import Listed

# As Kinetics' ids end: begin and end in seconds.
_TIMES = re.compile(r"_\d{6}_\d{6}$")


@dataclass(frozen=True)
class Place:
    """Where a video is expected or found: its frame folder, its file, and the way from the root where it is unusual."""

    frames: str
    video: str
    inside: Optional[str] = None


class Places:
    """Finds the videos below a folder.

    The usual place is ``<label>/<id>``, a folder of frames or a file of any suffix. Beyond it: the class folders in a
    folder per subset (``train``, ``val``), written with ``_`` for blanks and other signs, and ids without times.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._plain = _class_folders(root, "")
        self._of_subset: Dict[str, Dict[str, List[str]]] = {}
        for name in sorted(os.listdir(root)) if os.path.isdir(root) else []:
            if os.path.isdir(os.path.join(root, name)) and full_subset(name) != name.lower():
                self._add(full_subset(name), name)
            elif name.lower() in ("training", "validation", "testing"):
                self._add(name.lower(), name)

    def find(self, video: Listed, name: str) -> Place:
        """Return where the video of id ``name`` is, its usual place if it is nowhere."""
        usual = Place(os.path.join(self._root, video.folder, name), os.path.join(self._root, video.folder, video.file))
        if os.path.isdir(usual.frames) or os.path.isfile(usual.video):
            return usual
        for inside in self._candidates(video, name):
            from clip2om.preprocess.sources import locate

            found = locate(self._root, inside)
            if found is not None:
                is_usual = inside == f"{video.folder}/{name}"
                way = None if is_usual else os.path.relpath(found, self._root)
                return Place(found, usual.video, way) if os.path.isdir(found) else Place(usual.frames, found, way)
        return usual

    def _candidates(self, video: Listed, name: str) -> Iterator[str]:
        folders = [video.folder, *self._plain.get(_letters(video.folder), [])]
        known = self._of_subset.get(video.subset, {})
        # Videos without a class lie in the folder of their subset itself.
        folders += known.get(_letters(video.folder), []) if video.label is not None else known.get("", [])
        if video.flat:
            yield name
            yield from (f"{folder}/{name}" for folder in known.get("", []))
        for id_ in dict.fromkeys((name, _TIMES.sub("", name))):
            for folder in dict.fromkeys(folders):
                yield f"{folder}/{id_}"

    def _add(self, subset: str, name: str) -> None:
        known = self._of_subset.setdefault(subset, {})
        known.setdefault("", []).append(name)
        for key, folders in _class_folders(self._root, name).items():
            known.setdefault(key, []).extend(folders)


def _class_folders(root: str, inside: str) -> Dict[str, List[str]]:
    """Return the folders in a folder by their letters and digits alone, as paths from the root."""
    found: Dict[str, List[str]] = {}
    for path in sorted(Path(root, inside).glob("*/")):
        if path.is_dir():
            found.setdefault(_letters(path.name), []).append(str(path.relative_to(root)))
    return found


def _letters(name: str) -> str:
    return "".join(sign for sign in name.casefold() if sign.isalnum())
