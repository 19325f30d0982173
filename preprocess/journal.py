"""What of an output folder is already done, and from what it was made.

The journal stays beside the manifest: the manifest says what the batches are, the journal which files on this machine
they were made from (sizes and times of the frames), so that a later run knows what it can keep.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, Set

from clip2om.pipeline.artifact import write_text
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import FILE_NAME
from clip2om.pipeline.typed import from_dict, to_dict

_NAME = ".progress.jsonl"


@dataclass(frozen=True)
class DoneFile:
    """A finished file; ``bad`` maps ids of videos that turned out unusable to the reason (their slots are zero)."""

    name: str
    key: str
    sha256: str
    bad: Dict[str, str]


@dataclass(frozen=True)
class Earlier:
    """What earlier runs left: finished files by name, and the names of all files that they may have written."""

    done: Dict[str, DoneFile]
    names: Set[str]


class Journal:
    """One JSON line per finished file, so that a kill loses the files in work and no other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / _NAME

    def read(self) -> Earlier:
        """Return what earlier runs, interrupted ones too, have written here."""
        earlier = Earlier({}, set())
        if not self._path.is_file():
            return earlier
        for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                item = json.loads(line)
                if isinstance(item, list):
                    earlier.names.update(str(name) for name in item)
                    continue
                done = from_dict(DoneFile, item, self._path)
            except (json.JSONDecodeError, RequestError):
                break  # the line that was being written when the process was killed
            earlier.done[done.name] = done
            earlier.names.add(done.name)
        return earlier

    def begin(self, done: Iterable[DoneFile], names: Set[str]) -> None:
        """Start to change the folder: the journal says what is whole and what is ours, the manifest is withdrawn."""
        self._write(done, names)
        (self._folder / FILE_NAME).unlink(missing_ok=True)

    def add(self, item: DoneFile) -> None:
        """Record a file that has its final name."""
        with open(self._path, "a", encoding="utf-8") as stream:
            stream.write(_line(item))

    def end(self, done: Iterable[DoneFile]) -> None:
        """Leave only what the manifest lists."""
        self._write(done, set())

    def _write(self, done: Iterable[DoneFile], names: Set[str]) -> None:
        write_text(self._path, json.dumps(sorted(names)) + "\n" + "".join(_line(item) for item in done))


def _line(item: DoneFile) -> str:
    return json.dumps(to_dict(item)) + "\n"
