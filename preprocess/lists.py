"""List files, one line per video: ``<frame folder> <label>``, or ``<class>/<video> <frames> <label>``."""

from __future__ import annotations

import os
from typing import List, Tuple

from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.naming import without_suffix
from clip2om.pipeline.texts import read_lines
from clip2om.preprocess.entries import Annotation, Entry, with_ids

# More than any number of frames or classes has.
_DIGITS = 15
_COLUMNS = {"list": ("<frame folder>", "<label>"), "rawframes": ("<class>/<video>", "<frames>", "<label>")}


def read(path: str, subset: str, card: Card) -> Annotation:
    """Read a list of the card's format; labels count from 0 and are positions in the card's file of labels.

    A folder may contain blanks: the numbers are taken from the end of the line. A list holds one subset and does not
    say which, so all of its lines are taken as ``subset``.

    Raises:
        RequestError: missing or empty file, other columns, a number that is none, a label outside the card's or
            of another class than the folder's, a video that occurs twice, or a card without labels.
    """
    columns = _COLUMNS[card.dataset.format]
    labels = card.labels()
    if not labels:
        raise RequestError("dataset.labels is empty, and a list has numbers only", card.path, "name a label file")
    entries = [
        _entry(line, f"line {number}", columns, labels, card.dataset.first_frame, path)
        for number, line in enumerate(read_lines(path, "pass --annotation-path FILE with the list of videos"), 1)
        if line.strip()
    ]
    if not entries:
        raise RequestError("has no video", path, f"expected lines of {' '.join(columns)}")
    return Annotation(path, sha256_file(path), subset, labels, with_ids(entries, path))


def _entry(line: str, where: str, columns: Tuple[str, ...], labels: List[str], first_frame: int, path: str) -> Entry:
    # A list that was made on Windows; in a name of ours a backslash is refused anyway.
    fields = line.strip().replace("\\", "/").rsplit(maxsplit=len(columns) - 1)
    if len(fields) != len(columns) or any(map(_is_number, fields[0].split()[1:][-1:])):
        raise RequestError(f"{where} is {line.strip()!r}, expected {' '.join(columns)}", path, _todo(line, columns))
    for field, column in zip(fields[1:], columns[1:]):
        if not _is_number(field):
            raise RequestError(f"{where}: {column} is {field!r}, expected a whole number, 0 or more", path)
    label, name = int(fields[-1]), without_suffix(os.path.basename(fields[0].rstrip("/")))
    if label >= len(labels):
        raise RequestError(
            f"{where}: label {label} of {name!r} is outside the card's 0..{len(labels) - 1}",
            path,
            "labels count from 0; pass the list of this model's dataset",
        )
    folder = os.path.basename(os.path.dirname(fields[0].rstrip("/")))
    if folder in labels and folder != labels[label]:
        raise RequestError(
            f"{where}: label {label} is {labels[label]!r} by the card's labels, but {folder!r} here",
            path,
            "choose with --set dataset.labels=NAME the label list whose class order this list has, from 0",
        )
    segment = (first_frame, first_frame + int(fields[1])) if len(fields) == 3 else None
    return Entry(name, labels[label], segment, fields[0])


def _is_number(field: str) -> bool:
    return field.isascii() and field.isdigit() and len(field) <= _DIGITS


def _todo(line: str, columns: Tuple[str, ...]) -> str:
    """Return what to do about a line with other columns, by what it may be."""
    numbers = sum(map(_is_number, line.split()[1:]))
    if len(columns) == 2 and numbers == 2:
        return "a list with frame counts takes --set dataset.format=rawframes"
    if len(columns) == 3 and numbers == 1:
        return "a list without frame counts takes --set dataset.format=list"
    if len(columns) == 3 and numbers == 3:
        return "offsets and several labels per video are not supported: list whole videos with one label each"
    return "correct the line"
