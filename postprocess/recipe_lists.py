"""Batches as the recipes describe theirs, so that result folders of their own scripts can be scored directly.

    3d_resnet             hmdb51.info           <video>_0.bin, 10 rows        :func:`from_info`
    c3d_mmaction          rawframe list         <video>_0.txt, 10 rows        :func:`from_rawframe_list`
    resnet3d_mindspore    label.json, targets   <data>_bs1_<v>_<c>_0.bin      :func:`from_label_json`
    r2plus1d_mindspore    the file names        <class>_<name>_0.bin          :func:`from_labelled_names`

c3d_tf leaves one number per batch and c3d_paddle no files at all: their figures come from batches of this project.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from clip2om.pipeline.artifact import digest_of, load_json, sha256_file
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.texts import read_lines
from clip2om.postprocess.annotation import Annotation
from clip2om.postprocess.batches import Batches
from clip2om.postprocess.folders import ENDINGS
from clip2om.postprocess.scores import Origin, classes_of

_ORDER = "choose the card, or with --set dataset.labels=NAME the label list, whose class order the recipe has"
_LABELLED = re.compile(r"([0-9]{1,9})_(.+)_0")
# More than any number of clips, frames or classes has.
_DIGITS = 9


@dataclass
class _Listed:
    """Videos in order: where the clips of each lie (file, row), and its class name."""

    files: List[str] = field(default_factory=list)
    ids: List[str] = field(default_factory=list)
    names: List[Optional[str]] = field(default_factory=list)
    places: List[List[Tuple[int, int]]] = field(default_factory=list)

    def add(self, video: str, name: Optional[str], file: str, rows: int) -> None:
        """Add a video whose clips are the first ``rows`` rows of a file of its own."""
        self.places.append([(len(self.files), row) for row in range(rows)])
        self.files.append(file)
        self.ids.append(video)
        self.names.append(name)


def from_info(path: Path, annotation: Annotation, card: Card) -> Batches:
    """Describe batches by the two-column ``.info``: one file ``<video id>.bin`` per video.

    A file has as many rows as the card's batch; clips beyond it do not exist in this layout, although the count in
    the second column goes on (the 3d_resnet recipe does so).

    Raises:
        RequestError: missing file, or a line that is not an id and a count of 1 or more.
    """
    pairs, listed = _read_info(path), _Listed()
    rows = card.input_spec(card.input.batch).clips
    for name, count in pairs:
        listed.add(name, annotation.truth.get(name), f"{name}.bin", min(count, rows))
    dropped = sum(max(0, count - rows) for _, count in pairs)
    labels = card.labels() or annotation.labels
    origin = _origin(card, path.stem, annotation.subset, annotation.sha256, "per-video", dropped)
    return _batches(path, listed, labels, rows, card, origin)


def from_rawframe_list(path: Path, card: Card) -> Batches:
    """Describe one file ``<video up to its first dot>.bin`` per line ``<class>/<video> <frames> <label>``.

    A result has as many rows as the card has clips per video (the recipe writes ten lines of text).

    Raises:
        RequestError: missing file, a line of other columns, a label outside the card's list or not that of the class
            folder, a video twice.
    """
    labels, listed = _labels(card), _Listed()
    for number, line in _lines(path, "give the list that the recipe's preprocessing read"):
        # A folder may hold blanks; a number at its end is a column too many.
        words = line.replace("\\", "/").rsplit(None, 2)
        if len(words) != 3 or not all(map(_is_number, words[1:])) or words[0].split()[-1].isdigit():
            raise RequestError(f"line {number} is {line!r}, expected '<class>/<video> <frames> <label>'", path)
        folder, _, video = words[0].rstrip("/").rpartition("/")
        _check_class(int(words[2]), folder.rpartition("/")[2], labels, f"{path}: line {number}")
        listed.add(video, labels[int(words[2])], f"{video.partition('.')[0]}.bin", card.clips.count)
    _check_twice(listed.ids, path)
    origin = _origin(card, card.dataset.name, card.dataset.subset, sha256_file(path), "per-video")
    return _batches(path, listed, labels, card.clips.count, card, origin)


def from_label_json(path: Path, targets: Path, annotation: Annotation, card: Card) -> Batches:
    """Describe one file per clip by the recipe's ``label.json`` (files) and ``targets.json`` (ids, class names).

    Raises:
        RequestError: a file that is missing or of another shape, files that contradict each other, a class order other
            than the card's.
    """
    clips = _entries(load_json(path, "give preprocess_Result/label/label.json of the recipe"), path)
    about = load_json(targets, "give the targets.json that the recipe wrote beside the annotation")
    shape = "is JSON of another shape; expected {'class_names': {...}, 'targets': {video number: [[id, segment], ...]}}"
    if not isinstance(about, dict) or not isinstance(about.get("targets"), dict):
        raise RequestError(shape, targets)
    labels = card.labels() or annotation.labels
    _check_class_names(about.get("class_names"), labels, targets)
    listed = _Listed()
    for number, files in clips.items():
        try:
            ids = [str(entry[0]) for entry in about["targets"][number]]
        except (KeyError, IndexError, TypeError):
            raise RequestError(f"has no targets of video {number}, which {path} lists", targets) from None
        if len(ids) != len(files) or len(set(ids)) != 1:
            raise RequestError(f"lists {len(ids)} clips of video {number}, {path} lists {len(files)}", targets)
        listed.places.append([(len(listed.files) + index, 0) for index in range(len(files))])
        listed.files.extend(files)
        listed.ids.append(ids[0])
        listed.names.append(annotation.truth.get(ids[0]))
    _check_twice(listed.ids, targets)
    origin = _origin(card, card.dataset.name, annotation.subset, annotation.sha256, "per-clip")
    return _batches(path, listed, labels, 1, card, origin)


def from_labelled_names(folder: Path, card: Card) -> Batches:
    """Describe one clip per result file ``<class number>_<category><video>_0.bin``: the names are all that there is.

    The recipe counts the files of the folder, so a video without a result is not missed.

    Raises:
        RequestError: no such file, or a class number that is not that of the category in the name.
    """
    labels, listed = _labels(card), _Listed()
    found = _labelled_names(folder)
    if not found:
        raise RequestError("holds no result file <class number>_<category><video>_0.bin", folder, "check --scores")
    longest_first = sorted(labels, key=len, reverse=True)
    for number, text in found:
        category = next((label for label in longest_first if text.startswith(label)), "")
        _check_class(number, category, labels, f"{folder}: {number}_{text}")
        listed.add(text[len(category) :] or text, labels[number], f"{number}_{text}.bin", 1)
    _check_twice(listed.ids, folder)
    origin = _origin(card, card.dataset.name, card.dataset.subset, digest_of(found), "per-clip")
    return _batches(folder, listed, labels, 1, card, origin)


def _batches(where: Path, listed: _Listed, labels: List[str], rows: int, card: Card, origin: Origin) -> Batches:
    size = card.input_spec(1).clips if rows > 1 else 1
    return Batches(
        where=where,
        files=listed.files,
        rows=rows,
        clips=np.array([place for places in listed.places for place in places], np.int32).reshape(-1, 2),
        counts=np.array([len(places) for places in listed.places], np.int32),
        ids=listed.ids,
        truth=classes_of(listed.names, listed.ids, labels, where),
        names=listed.names,
        labels=labels,
        absent=[],
        origin=origin,
        clips_per_item=size,
        averages=card.export.average_clips and size > 1,
    )


def _origin(card: Card, dataset: str, subset: str, digest: str, layout: str, dropped: int = 0) -> Origin:
    return Origin(
        card=card.name,
        dataset=dataset,
        subset=subset,
        layout=layout,
        activation=card.scores.activation,
        annotation_sha256=digest,
        manifest_sha256=None,
        fingerprint=None,
        scores_sha256="",
        format="",
        dropped_clips=dropped,
    )


def _labels(card: Card) -> List[str]:
    labels = card.labels()
    if not labels:
        raise RequestError("the card names no label list, so class numbers say nothing", card.path, _ORDER)
    return labels


def _check_class(number: int, folder: str, labels: List[str], where: str) -> None:
    """Refuse a class number that the labels do not have, or that they give to another class than the folder's."""
    if number >= len(labels):
        raise RequestError(f"class {number} is none of the {len(labels)} labels (counted from 0)", where, _ORDER)
    if folder in labels and labels[number] != folder:
        raise RequestError(f"class {number} is {labels[number]!r} by the labels, but {folder!r} here", where, _ORDER)


def _check_class_names(names: Any, labels: List[str], where: Path) -> None:
    if not isinstance(names, dict) or [names.get(str(number)) for number in range(len(labels))] != labels:
        raise RequestError(f"its class_names are not the {len(labels)} labels in their order", where, _ORDER)


def _check_twice(ids: List[str], where: Path) -> None:
    twice = next((name for name in ids if ids.count(name) > 1), None) if len(set(ids)) != len(ids) else None
    if twice is not None or not ids:
        raise RequestError("lists no video" if twice is None else f"lists video {twice!r} twice", where)


def _entries(data: Any, path: Path) -> Dict[str, List[str]]:
    try:
        ordered = {
            str(number): [str(clip["file_name"]) for clip in sorted(clips, key=lambda clip: int(clip["idx"]))]
            for number, clips in data.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        ordered = {}
    if not ordered or not all(ordered.values()):
        raise RequestError("is JSON of another shape; expected {video number: [{'file_name': ..., 'idx': ...}]}", path)
    return ordered


def _labelled_names(folder: Path) -> List[Tuple[int, str]]:
    """Return class number and text of the result files in a folder, or below it where it holds none itself."""
    if not folder.is_dir():
        raise RequestError("no such folder", folder, "check --scores")
    for pattern in ("*", "*/*"):
        stems = (path.stem for path in sorted(folder.glob(pattern)) if path.suffix.lower() in ENDINGS)
        found = [(int(match[1]), match[2]) for match in map(_LABELLED.fullmatch, stems) if match]
        if found:
            return found
    return []


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS


def _lines(path: Path, todo: str) -> List[Tuple[int, str]]:
    return [(number, line.strip()) for number, line in enumerate(read_lines(path, todo), 1) if line.strip()]


def _read_info(path: Path) -> List[Tuple[str, int]]:
    pairs = []
    for number, line in _lines(path, "give the .info file that the recipe's preprocessing wrote"):
        name, _, count = line.rpartition(" ")
        if not name or not _is_number(count) or int(count) < 1:
            raise RequestError(f"line {number} is {line!r}, expected '<video id> <number of clips>'", path)
        pairs.append((name, int(count)))
    if len({name for name, _ in pairs}) != len(pairs) or not pairs:
        raise RequestError("holds no video, or one twice", path, "give the .info file of one run")
    return pairs
