"""The files that a checkpoint consists of: one, or for TensorFlow an index and its data under one prefix."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import List, Tuple

from clip2om.pipeline.artifact import digest_of, sha256_file
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.naming import is_plain_name
from clip2om.pipeline.opening import read_regular

_INDEX = ".index"
_DATA = re.compile(r"\.data-(\d{5})-of-(\d{5})")
_PART = re.compile(rf"{re.escape(_INDEX)}|{_DATA.pattern}|\.meta")
# Of the file that names the latest checkpoints, in bytes.
_LONGEST = 1 << 24
# Room for what follows a prefix is left.
_LONGEST_NAME = 200
_LATEST = re.compile(r'^model_checkpoint_path: "(.*)"', re.MULTILINE)


@dataclass(frozen=True)
class CheckpointFiles:
    """A checkpoint on disk: ``path`` is what its framework opens, ``files`` hold the weights."""

    path: Path
    files: Tuple[Path, ...]

    def digest(self) -> str:
        """Return the SHA-256 of the file; of several, that of their digests by what follows the prefix."""
        if self.files == (self.path,):
            return sha256_file(self.path)
        return digest_of({file.name[len(self.path.name) :]: sha256_file(file) for file in self.files})


def one_file(path: Path) -> CheckpointFiles:
    """Return a checkpoint that is one file.

    Raises:
        RequestError: it is a folder, or the prefix of several files.
    """
    if not path.exists():
        raise RequestError(
            "is a checkpoint of TensorFlow, the card's is of another framework", path, "check --checkpoint and --model"
        )
    if not path.is_file():
        raise RequestError("is not a file, expected a checkpoint", path, "check --checkpoint")
    return CheckpointFiles(path, (path,))


def tensorflow_files(path: Path) -> CheckpointFiles:
    """Return a checkpoint of TensorFlow, ``PREFIX.index`` and ``PREFIX.data-00000-of-00001``.

    Args:
        path: The prefix, one of its files, or a folder whose file ``checkpoint`` names the latest prefix. Another file
            is returned as it is: the framework says what it is.

    Raises:
        RequestError: the index or a part of the data is missing, or the folder names no checkpoint.
    """
    prefix = _latest(path) if path.is_dir() else _prefix(path)
    index = prefix.with_name(prefix.name + _INDEX)
    data = _data(prefix)
    if not index.is_file() and not data and prefix.is_file():
        return CheckpointFiles(prefix, (prefix,))
    missing = _missing(index, data)
    if missing:
        there = [file.name for file in (index, *data) if file.is_file()]
        raise RequestError(
            f"{' and '.join(missing)} missing" + (f", only {', '.join(there)} there" if there else ""),
            prefix,
            "a checkpoint of TensorFlow is its index and its data: copy both" if there else "check --checkpoint",
        )
    return CheckpointFiles(prefix, (index, *data))


def exists(path: Path) -> bool:
    """Return whether there is such a file or folder, or an index or data under such a prefix."""
    prefix = _prefix(path)
    return path.exists() or prefix.with_name(prefix.name + _INDEX).is_file() or bool(_data(prefix))


def _prefix(path: Path) -> Path:
    """Return a path without the suffix of an index, of data or of the graph that training leaves beside them."""
    part = _PART.search(path.name)
    return path if part is None or part.end() < len(path.name) else path.with_name(path.name[: part.start()])


def _latest(folder: Path) -> Path:
    names = sorted(file.name[: -len(_INDEX)] for file in folder.glob(f"*{_INDEX}"))
    todo = f"give one: --checkpoint {folder / names[-1]}" if names else "check --checkpoint"
    state = folder / "checkpoint"
    if (folder / "saved_model.pb").is_file():
        raise RequestError("is a SavedModel, expected a checkpoint of a Saver", folder, "check --checkpoint")
    if not state.is_file():
        raise RequestError("is a folder without a file called checkpoint, which names the latest one", folder, todo)
    found = _LATEST.search(read_regular(state, _LONGEST).decode("utf-8", "replace"))
    if found is None:
        raise RequestError("names no checkpoint: no line model_checkpoint_path", state, todo)
    # Where the training ran the path may have been another one.
    name = Path(found[1]).name
    if not is_plain_name(name) or len(os.fsencode(name)) > _LONGEST_NAME:
        raise RequestError(f"names {name[:80]!r}, which is no name of a file", state, todo)
    return folder / name


def _data(prefix: Path) -> List[Path]:
    files = prefix.parent.glob(f"{_escaped(prefix.name)}.data-*")
    return sorted(file for file in files if _DATA.fullmatch(file.name[len(prefix.name) :]))


def _missing(index: Path, data: List[Path]) -> List[str]:
    missing = [] if index.is_file() else [index.name]
    if not data:
        return [*missing, f"{index.name[: -len(_INDEX)]}.data-00000-of-00001"]
    stem, _, total = data[-1].name.rpartition("-of-")
    names = [f"{stem[:-5]}{number:05d}-of-{total}" for number in range(int(total))]
    return [*missing, *(name for name in names if not index.with_name(name).is_file())]


def _escaped(name: str) -> str:
    return re.sub(r"([\[\]*?])", r"[\1]", name)
