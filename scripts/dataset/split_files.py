"""The split files that HMDB51, UCF101 and Kinetics are published with."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple, TypeVar

from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.texts import read_lines

T = TypeVar("T")
# Of a number of seconds or classes.
_DIGITS = 15
_HMDB51_SUBSETS = {"0": None, "1": "training", "2": "validation"}
_HMDB51_TODO = "give the folder of HMDB51's <label>_test_split<k>.txt files"
_UCF101_TODO = "give the folder of UCF101's classInd.txt, trainlist0k.txt and testlist0k.txt"


_KINETICS_SUBSETS = {"train": "training", "val": "validation", "test": "testing"}
_KINETICS_FILE = re.compile(r"kinetics-(\d+)_train\.csv")
_KINETICS_TODO = (
    "give the folder of Kinetics' kinetics-<N>_train.csv, kinetics-<N>_val.csv and, if any, _test.csv, "
    "or of train.csv and val.csv"
)
# The names under which CVDF and the archives of DeepMind hand them on.
_KINETICS_NAMES = {"train": ("train",), "val": ("val", "validate", "validation"), "test": ("test",)}


@dataclass(frozen=True)
class Listed:
    """One video of a split: its class (None in Kinetics' test files), its file name (with extension), its subset.

    ``flat``: the videos lie in one folder, without a folder per class.
    """

    label: Optional[str]
    file: str
    subset: str
    flat: bool = False

    @property
    def folder(self) -> str:
        """Name of the class folder that the video lies in."""
        return "test" if self.label is None else self.label


@dataclass(frozen=True)
class Split:
    """One split: class names in class order, and its videos."""

    labels: List[str]
    videos: List[Listed]


def read_hmdb51(folder: Path, number: int) -> Split:
    """Read ``<label>_test_split<number>.txt``: lines ``<file> <0|1|2>`` for unused, training and validation.

    Labels are in alphabetical order.

    Raises:
        RequestError: no such folder or file, or a line of another form.
    """
    ending = f"_test_split{number}.txt"
    paths = {path.name[: -len(ending)]: path for path in _folder(folder, _HMDB51_TODO).glob(f"*{ending}")}
    if not paths:
        raise RequestError(f"holds no *{ending}", folder, _HMDB51_TODO)
    videos = []
    for label, path in sorted(paths.items()):
        for line, words in _lines(path):
            if len(words) != 2 or words[1] not in _HMDB51_SUBSETS:
                raise RequestError(f"line {line} is {' '.join(words)!r}, expected '<file> <0, 1 or 2>'", path)
            subset = _HMDB51_SUBSETS[words[1]]
            if subset:
                videos.append(Listed(label, _plain(words[0], path, line), subset))
    return Split(sorted(paths), videos)


def read_ucf101(folder: Path, number: int) -> Split:
    """Read ``classInd.txt`` (class order) and ``trainlist``, ``testlist`` of one split; test is called validation.

    Raises:
        RequestError: no such folder or file, a line of another form, or a class that classInd.txt does not list.
    """
    labels = _ucf101_labels(_folder(folder, _UCF101_TODO) / "classInd.txt")
    videos = []
    for stem, subset in (("trainlist", "training"), ("testlist", "validation")):
        path = folder / f"{stem}{number:02d}.txt"
        for line, words in _lines(path):
            label, slash, file = words[0].partition("/")
            if not slash or len(words) > 2:
                raise RequestError(f"line {line} is {' '.join(words)!r}, expected '<class>/<file> [number]'", path)
            if label not in labels:
                raise RequestError(f"line {line}: class {label!r} is not in classInd.txt", path)
            videos.append(Listed(label, _plain(file, path, line), subset))
    return Split(labels, videos)


def kinetics_sizes(folder: Path) -> List[int]:
    """Return the numbers of classes N of the ``kinetics-<N>_train.csv`` in ``folder``, ascending.

    Raises:
        RequestError: no such folder, or none of these files.
    """
    found = [_KINETICS_FILE.fullmatch(path.name) for path in _folder(folder, _KINETICS_TODO).iterdir()]
    sizes = sorted(int(match[1]) for match in found if match)
    if not sizes and (folder / "train.csv").is_file():
        return [len({row["label"] for _, row in _rows(folder / "train.csv", labelled=True)})]
    if not sizes:
        raise RequestError("holds no kinetics-<N>_train.csv", folder, _KINETICS_TODO)
    return sizes


def read_kinetics(folder: Path, number: int) -> Split:
    """Read ``kinetics-<number>_train.csv``, ``_val.csv`` and, where there is one, ``_test.csv``.

    A video is called ``<youtube_id>_<start>_<end>``, both seconds with six digits. Labels are in the order in which
    train.csv has them first; videos of test.csv have none.

    Raises:
        RequestError: no such folder or file, a missing column, a time that is no whole number of seconds, or a label of
            val.csv that train.csv does not have.
    """
    _folder(folder, _KINETICS_TODO)
    labels: Dict[str, None] = {}
    videos: List[Listed] = []
    for stem, subset in _KINETICS_SUBSETS.items():
        path = _kinetics_file(folder, number, stem)
        if stem == "test" and not path.is_file():
            continue
        for line, row in _rows(path, labelled=stem != "test"):
            label = row["label"] if stem != "test" else None
            if label is not None and stem == "train":
                labels.setdefault(label)
            elif label is not None and label not in labels:
                raise RequestError(f"line {line}: label {label!r} is not among those of training", path)
            times = "_".join(_seconds(row[key], key, path, line) for key in ("time_start", "time_end"))
            videos.append(Listed(label, f"{_plain(row['youtube_id'], path, line)}_{times}.mp4", subset))
    return Split(list(labels), videos)


def _kinetics_file(folder: Path, number: int, stem: str) -> Path:
    """Return the file of a subset: of Kinetics' own name, or of a short one where there is no other."""
    own = folder / f"kinetics-{number}_{stem}.csv"
    short = (folder / f"{name}.csv" for name in _KINETICS_NAMES[stem])
    return own if own.is_file() else next((path for path in short if path.is_file()), own)


def _rows(path: Path, labelled: bool) -> Iterator[Tuple[int, Dict[str, str]]]:
    """Yield (line number, row by column) of a CSV file with the columns that are needed."""
    lines = csv.DictReader(read_lines(path, _KINETICS_TODO))
    needed = [*(["label"] if labelled else []), "youtube_id", "time_start", "time_end"]
    names = _guarded(lines, path, lambda: lines.fieldnames) or []
    missing = [column for column in needed if column not in names]
    if missing:
        found = ",".join(names) or "nothing"
        raise RequestError(f"has no column {missing[0]!r}: its first line is {found!r}", path, _KINETICS_TODO)
    for row in iter(lambda: _guarded(lines, path, lambda: next(lines, None)), None):
        empty = next((column for column in needed if not row[column]), None)
        if empty is not None:
            raise RequestError(f"line {lines.line_num} has no {empty}", path)
        yield lines.line_num, row


def _guarded(lines: "csv.DictReader[str]", path: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except csv.Error as error:  # a field of more than 128 kB, or a zero byte
        raise RequestError(f"line {lines.line_num} is no line of a CSV file ({error})", path, _KINETICS_TODO) from None


def _seconds(text: str, column: str, path: Path, line: int) -> str:
    if not _is_number(text):
        raise RequestError(f"line {line}: {column} is {text!r}, expected whole seconds", path)
    return f"{int(text):06d}"


def _ucf101_labels(path: Path) -> List[str]:
    numbered: Dict[int, str] = {}
    for line, words in _lines(path):
        if len(words) != 2 or not _is_number(words[0]):
            raise RequestError(f"line {line} is {' '.join(words)!r}, expected '<number> <class>'", path)
        numbered[int(words[0])] = words[1]
    if sorted(numbered) != list(range(1, len(numbered) + 1)):
        raise RequestError(f"numbers {len(numbered)} classes otherwise than 1 to {len(numbered)}", path)
    return [numbered[number] for number in sorted(numbered)]


def _lines(path: Path) -> Iterator[Tuple[int, Sequence[str]]]:
    """Yield (line number, words) of the lines that are not blank."""
    lines = read_lines(path, _UCF101_TODO)
    return ((number, line.split()) for number, line in enumerate(lines, start=1) if line.strip())


def _is_number(text: str) -> bool:
    """True for decimal digits, few enough for what counts seconds or classes."""
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS


def _plain(file: str, path: Path, line: int) -> str:
    if "/" in file or "\\" in file or file in (".", ".."):
        raise RequestError(f"line {line}: {file!r} is not a plain file name", path)
    return file


def _folder(folder: Path, todo: str) -> Path:
    if not folder.is_dir():
        raise RequestError("no such folder", folder, todo)
    return folder
