"""What of an output folder is already done, and from what it was made.

The journal stays beside the manifest: the manifest says what the batches are, the journal which files on this machine
they were made from (sizes and times of the frames), so that a later run knows what it can keep.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, List, Set, Union

from clip2om.pipeline.artifact import parse_json, read_journal, write_text
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import FILE_NAME
from clip2om.pipeline.typed import FileName, from_dict, to_dict

_NAME = ".progress.jsonl"
# Of every batch file; what is called otherwise was not written by a run of ours.
_ENDING = ".bin"


@dataclass(frozen=True)
class DoneFile:
    """A finished file, and the versions of the libraries that decoded what is in it."""

    name: FileName
    key: str
    sha256: str
    versions: Dict[str, str]


@dataclass(frozen=True)
class BadVideo:
    """A video that turned out unusable while it was decoded; ``key`` is the digest of what that depends on."""

    bad: str
    key: str
    reason: str


@dataclass(frozen=True)
class _Names:
    """The first line: names of the files that earlier runs may have written."""

    names: List[FileName]


Item = Union[DoneFile, BadVideo]


@dataclass(frozen=True)
class Earlier:
    """What earlier runs left: finished files by name, bad videos by id, names of all files they may have written."""

    done: Dict[str, DoneFile]
    bad: Dict[str, BadVideo]
    names: Set[str]


class Journal:
    """One JSON line per finished file, so that a kill loses the files in work and no other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / _NAME

    def read(self) -> Earlier:
        """Return what earlier runs, interrupted ones too, have written here."""
        earlier = Earlier({}, {}, set())
        for line in read_journal(self._path):
            try:
                self._note(line, earlier)
            except RequestError:
                break  # the line that was being written when the process was killed, or of an earlier release
        return earlier

    def _note(self, line: str, earlier: Earlier) -> None:
        """Add what a line says; a name in it that is none of ours ends the reading: only our own files are deleted."""
        item = parse_json(line, self._path, "")
        if isinstance(item, list):
            names = from_dict(_Names, {"names": item}, self._path).names
            earlier.names.update(name for name in names if name.endswith(_ENDING))
        elif isinstance(item, dict) and "bad" in item and "sha256" not in item:
            video = from_dict(BadVideo, item, self._path)
            earlier.bad[video.bad] = video
        else:
            done = from_dict(DoneFile, item, self._path)
            if done.name.endswith(_ENDING):
                earlier.done[done.name] = done
                earlier.names.add(done.name)

    def begin(self, items: Iterable[Item], names: Set[str]) -> None:
        """Start to change the folder: the journal says what is whole and what is ours, the manifest is withdrawn."""
        self._write(items, names)
        (self._folder / FILE_NAME).unlink(missing_ok=True)

    def add(self, item: Item) -> None:
        """Record a file that has its final name, or a video that proved bad."""
        with open(self._path, "a", encoding="utf-8") as stream:
            stream.write(_line(item))

    def end(self, items: Iterable[Item]) -> None:
        """Leave only what the manifest lists."""
        self._write(items, set())

    def _write(self, items: Iterable[Item], names: Set[str]) -> None:
        write_text(self._path, json.dumps(sorted(names)) + "\n" + "".join(_line(item) for item in items))


def _line(item: Item) -> str:
    return json.dumps(to_dict(item)) + "\n"
