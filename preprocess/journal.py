"""What of an output folder is already done: the files of an earlier or interrupted run that can be kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List

from pipeline.errors import RequestError
from pipeline.manifest import FILE_NAME, read_manifest
from pipeline.typed import from_dict, to_dict

_NAME = ".progress.jsonl"


@dataclass(frozen=True)
class DoneFile:
    """A finished file; ``bad`` maps ids of videos that turned out unusable to the reason (their slots are zero)."""

    name: str
    key: str
    sha256: str
    bad: Dict[str, str]


class Journal:
    """The list of finished files, one JSON line each, so that a kill loses the files in work and no other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / _NAME

    def read(self) -> Dict[str, DoneFile]:
        """Return the finished files by name: those of an interrupted run, else those of the manifest."""
        if self._path.is_file():
            return self._read_lines()
        if not (self._folder / FILE_NAME).is_file():
            return {}
        try:
            manifest = read_manifest(self._folder)
        except RequestError:
            return {}
        bad = {item.id: item.reason for item in manifest.skipped}
        return {file.name: DoneFile(file.name, file.key, file.sha256, bad) for file in manifest.files}

    def begin(self, done: Dict[str, DoneFile]) -> None:
        """Start to change the folder: from here on the journal says what is whole, and the manifest is withdrawn."""
        self._path.write_text("".join(_line(item) for item in done.values()), encoding="utf-8")
        (self._folder / FILE_NAME).unlink(missing_ok=True)

    def add(self, item: DoneFile) -> None:
        """Record a file that has its final name."""
        with open(self._path, "a", encoding="utf-8") as stream:
            stream.write(_line(item))

    def end(self) -> None:
        """Forget the journal; the manifest says everything now."""
        self._path.unlink(missing_ok=True)

    def _read_lines(self) -> Dict[str, DoneFile]:
        done: Dict[str, DoneFile] = {}
        lines: List[str] = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines:
            try:
                item = from_dict(DoneFile, json.loads(line), self._path)
            except (json.JSONDecodeError, RequestError):
                break  # the line that was being written when the process was killed
            done[item.name] = item
        return done


def _line(item: DoneFile) -> str:
    return json.dumps(to_dict(item)) + "\n"
