"""The files that Something-Something v2, Moments in Time and Diving48 are published with."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from clip2om.pipeline.artifact import load_json
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.texts import read_lines
from clip2om.scripts.dataset.split_files import Listed, Split

_STH = "something-something-v2-"
_STH_TODO = (
    f"give the folder of {_STH}labels.json, {_STH}train.json and {_STH}validation.json, or of labels.json, train.json "
    "and validation.json"
)
_MOMENTS_TODO = "give the folder of moments_categories.txt, trainingSet.csv and validationSet.csv"
_DIVING_TODO = (
    "give the folder of Diving48_vocab.json, Diving48_V2_train.json and Diving48_V2_test.json (or without V2)"
)


def read_something(folder: Path, number: int) -> Split:
    """Read Something-Something v2: ``labels.json`` (class to number) and the lists with ``id`` and ``template``.

    Videos are ``<id>.webm``, all in one folder. The test list has no classes.

    Raises:
        RequestError: no such folder or file, another shape, or a template that labels.json does not list.
    """
    numbered = _dictionary(_one_of(folder, (f"{_STH}labels.json", "labels.json"), _STH_TODO))
    labels = _ordered({str(name): place for name, place in numbered.items()}, folder)
    videos = []
    for stem, subset in (("train", "training"), ("validation", "validation"), ("test", "testing")):
        path = _one_of(folder, (f"{_STH}{stem}.json", f"{stem}.json"), "" if stem == "test" else _STH_TODO)
        if path is None:
            continue
        for item in _items(path):
            template = (
                _text(item, "template", path).translate({ord("["): None, ord("]"): None})
                if "template" in item
                else None
            )
            if template is None and stem != "test":
                raise RequestError("an entry has no 'template'", path, _STH_TODO)
            if template is not None and template not in labels:
                raise RequestError(f"template {template!r} is not in the list of labels", path, _STH_TODO)
            videos.append(Listed(template, f"{_plain(str(item.get('id', '')), path)}.webm", subset, flat=True))
    return Split(labels, videos)


def read_moments(folder: Path, number: int) -> Split:
    """Read Moments in Time: ``moments_categories.txt`` (``<class>,<number>``) and lists ``<class>/<file>,<class>,…``.

    Raises:
        RequestError: no such folder or file, a line of another form, or a class that the first file does not list.
    """
    path = _one_of(folder, ("moments_categories.txt",), _MOMENTS_TODO)
    labels = _ordered(dict(line.rpartition(",")[::2] for line in read_lines(path, _MOMENTS_TODO) if line.strip()), path)
    videos = []
    for name, subset in (("trainingSet.csv", "training"), ("validationSet.csv", "validation")):
        path = _one_of(folder, (name,), _MOMENTS_TODO)
        for line, row in enumerate(csv.reader(read_lines(path, _MOMENTS_TODO)), start=1):
            if not row:
                continue
            if len(row) < 2 or row[1] not in labels:
                raise RequestError(f"line {line} is {','.join(row)!r}, expected '<class>/<file>,<class>,…'", path)
            videos.append(Listed(row[1], _plain(row[0].rpartition("/")[2], path), subset))
    return Split(labels, videos)


def read_diving48(folder: Path, number: int) -> Split:
    """Read Diving48: ``Diving48_vocab.json`` (the four parts of each class) and lists with ``vid_name`` and ``label``.

    Its test list is called validation; version 2 of the lists is taken where both are there. Videos are
    ``<vid_name>.mp4``, all in one folder; classes are called by their parts, joined by ``_``.

    Raises:
        RequestError: no such folder or file, another shape, or a number without a class.
    """
    path = _one_of(folder, ("Diving48_vocab.json",), _DIVING_TODO)
    vocabulary = load_json(path, _DIVING_TODO)
    if not isinstance(vocabulary, list) or not all(isinstance(parts, list) and parts for parts in vocabulary):
        raise RequestError("is JSON of another shape, expected a list of lists of words", path, _DIVING_TODO)
    labels = ["_".join(map(str, parts)) for parts in vocabulary]
    videos = []
    for stem, subset in (("train", "training"), ("test", "validation")):
        path = _one_of(folder, (f"Diving48_V2_{stem}.json", f"Diving48_{stem}.json"), _DIVING_TODO)
        for item in _items(path):
            place = item.get("label")
            if not isinstance(place, int) or not 0 <= place < len(labels):
                raise RequestError(f"an entry has label {place!r}, expected 0 to {len(labels) - 1}", path, _DIVING_TODO)
            file = f"{_plain(_text(item, 'vid_name', path), path)}.mp4"
            videos.append(Listed(labels[place], file, subset, flat=True))
    return Split(labels, videos)


def _one_of(folder: Path, names: Sequence[str], todo: str) -> Any:
    """Return the first file of these names; without ``todo`` there may be none."""
    found: Optional[Path] = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None and todo:
        raise RequestError(f"holds no {names[0]}" if folder.is_dir() else "no such folder", folder, todo)
    return found


def _dictionary(path: Path) -> Dict[str, Any]:
    found = load_json(path, _STH_TODO)
    if not isinstance(found, dict):
        raise RequestError("is JSON of another shape, expected class to number", path, _STH_TODO)
    return found


def _items(path: Path) -> List[Dict[str, Any]]:
    found = load_json(path, "give the published file")
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise RequestError("is JSON of another shape, expected a list of entries", path, "give the published file")
    return found


def _ordered(numbered: Dict[str, Any], where: object) -> List[str]:
    """Return classes in the order of their numbers, from 0 on."""
    pairs: List[Tuple[int, str]] = []
    for name, place in numbered.items():
        if not str(place).strip().isdigit():
            raise RequestError(f"class {name!r} has the number {place!r}", where, "give the published file")
        pairs.append((int(place), name))
    pairs.sort()
    if not pairs or [place for place, _ in pairs] != list(range(len(pairs))):
        raise RequestError(f"numbers {len(pairs)} classes otherwise than 0 to {len(pairs) - 1}", where)
    return [name for _, name in pairs]


def _text(item: Dict[str, Any], key: str, path: Path) -> str:
    if not isinstance(item.get(key), str):
        raise RequestError(f"an entry has no {key!r}", path, "give the published file")
    return str(item[key])


def _plain(name: str, path: Path) -> str:
    if not name or "/" in name or "\\" in name or name in (".", ".."):
        raise RequestError(f"{name!r} is not a plain file name", path)
    return name
