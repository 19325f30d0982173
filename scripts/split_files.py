"""The split files that HMDB51 and UCF101 are published with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Sequence, Tuple

from pipeline.errors import RequestError

_HMDB51_SUBSETS = {"0": None, "1": "training", "2": "validation"}
_HMDB51_TODO = "give the folder of HMDB51's <label>_test_split<k>.txt files"
_UCF101_TODO = "give the folder of UCF101's classInd.txt, trainlist0k.txt and testlist0k.txt"


@dataclass(frozen=True)
class Listed:
    """One video of a split: its class, its file name (with extension) and its subset."""

    label: str
    file: str
    subset: str


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


def _ucf101_labels(path: Path) -> List[str]:
    numbered: Dict[int, str] = {}
    for line, words in _lines(path):
        if len(words) != 2 or not words[0].isdigit():
            raise RequestError(f"line {line} is {' '.join(words)!r}, expected '<number> <class>'", path)
        numbered[int(words[0])] = words[1]
    if sorted(numbered) != list(range(1, len(numbered) + 1)):
        raise RequestError(f"numbers {len(numbered)} classes otherwise than 1 to {len(numbered)}", path)
    return [numbered[number] for number in sorted(numbered)]


def _lines(path: Path) -> Iterator[Tuple[int, Sequence[str]]]:
    """Yield (line number, words) of the lines that are not blank."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RequestError("no such file", path, _UCF101_TODO) from None
    except UnicodeDecodeError:
        raise RequestError("is not a text file in UTF-8", path) from None
    return ((number, line.split()) for number, line in enumerate(text.splitlines(), start=1) if line.strip())


def _plain(file: str, path: Path, line: int) -> str:
    if "/" in file or "\\" in file or file in (".", ".."):
        raise RequestError(f"line {line}: {file!r} is not a plain file name", path)
    return file


def _folder(folder: Path, todo: str) -> Path:
    if not folder.is_dir():
        raise RequestError("no such folder", folder, todo)
    return folder
