"""Which results of a scores folder are whole: written batch by batch, so that a kill loses only what was in flight."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from clip2om.pipeline.artifact import parse_json, read_journal, write_text
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.records import ScoreFile
from clip2om.pipeline.typed import from_dict, to_dict

NAME = ".progress.jsonl"


@dataclass(frozen=True)
class Identity:
    """What decides the values of a score besides the batch; results of two identities are never mixed."""

    model_sha256: str
    engine: str
    engine_version: str
    precision: str


@dataclass(frozen=True)
class Entry:
    """The result files of one execution; ``key`` is its :attr:`Group.key`."""

    key: str
    files: List[ScoreFile]


@dataclass(frozen=True)
class Progress:
    """A journal as read: whose results they are, and the results by key."""

    identity: Identity
    entries: Dict[str, Entry] = field(default_factory=dict)

    @property
    def names(self) -> List[str]:
        """Names of all result files."""
        return [file.name for entry in self.entries.values() for file in entry.files]


class Journal:
    """One JSON line that says whose results these are, then one per execution."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME

    def read(self) -> Optional[Progress]:
        """Return what an earlier run left, up to the line it was writing when it was killed; None without a journal."""
        if not self._path.is_file():
            return None
        values = _parse(read_journal(self._path), self._path)
        try:
            progress = Progress(from_dict(Identity, next(values, None), self._path))
            for value in values:
                entry = from_dict(Entry, value, self._path)
                progress.entries[entry.key] = entry
        except RequestError:
            return None
        return progress

    def start(self, identity: Identity, kept: List[Entry]) -> None:
        """Begin a run that keeps the results ``kept`` and no others."""
        write_text(self._path, "".join(_line(item) for item in (identity, *kept)))

    def add(self, entry: Entry) -> None:
        """Record result files that have their final names."""
        with open(self._path, "a", encoding="utf-8") as stream:
            stream.write(_line(entry))


def _parse(lines: List[str], path: Path) -> Iterator[Any]:
    for line in lines:
        try:
            yield parse_json(line, path, "")
        except RequestError:
            return


def _line(item: object) -> str:
    return json.dumps(to_dict(item)) + "\n"
