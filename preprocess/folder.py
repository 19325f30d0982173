"""The output folder of a run: which planned files are whole, and how the others come into being."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, List, Set

from clip2om.pipeline.artifact import PARTIAL_PREFIX, remove_partials
from clip2om.preprocess.journal import DoneFile, Journal
from clip2om.preprocess.plan import Plan
from clip2om.preprocess.worker import Target


class BatchFolder:
    """Planned files on disk.

    Attributes:
        done: Finished files by name; one of an earlier run counts if it was made from the same inputs.
    """

    def __init__(self, path: Path, plan: Plan, fresh: bool = False) -> None:
        self.path = path
        self._plan = plan
        self._journal = Journal(path)
        self._earlier = self._journal.read()
        self._members = _members(plan)
        self.done: Dict[str, DoneFile] = {}
        if not fresh:
            self._keep()

    @property
    def todo(self) -> Set[int]:
        """Numbers of the planned files that have to be made."""
        return {number for number, file in enumerate(self._plan.files) if file.name not in self.done}

    @property
    def bad(self) -> Dict[str, str]:
        """Unusable videos found while the finished files were made, with the reason."""
        return {name: reason for item in self.done.values() for name, reason in item.bad.items()}

    def begin(self) -> None:
        """Clear away what an interrupted run left, and withdraw the manifest until the folder is whole again."""
        remove_partials(self.path)
        self._journal.begin(self.done.values(), self._earlier.names | self._planned)

    def create(self, number: int) -> None:
        """Reserve the space of file ``number``, all zero, under its temporary name.

        Raises:
            OSError: the disk is full, and that before the work instead of after it.
        """
        path = self.temporary(number)
        with open(path, "wb") as stream:
            try:
                os.posix_fallocate(stream.fileno(), 0, self._plan.tensor.nbytes)
            except OSError as error:
                error.filename = path
                raise

    def target(self, number: int, slot: int) -> Target:
        """Return where the clip in ``slot`` of file ``number`` is written."""
        return Target(self.temporary(number), slot * self._clip_bytes)

    def clear(self, number: int, slot: int) -> None:
        """Set a slot of an unfinished file to zero."""
        with open(self.temporary(number), "rb+") as stream:
            stream.seek(slot * self._clip_bytes)
            stream.write(bytes(self._clip_bytes))

    def temporary(self, number: int) -> str:
        """Path under which file ``number`` is filled."""
        return str(self.path / (PARTIAL_PREFIX + self._plan.files[number].name))

    def final(self, number: int) -> str:
        """Path under which file ``number`` is whole."""
        return str(self.path / self._plan.files[number].name)

    def finished(self, number: int, sha256: str, bad: Dict[str, str]) -> None:
        """Record that file ``number`` has its final name; ``bad`` are the unusable videos planned into it."""
        file = self._plan.files[number]
        mine = {name: reason for name, reason in bad.items() if name in self._members[number]}
        self.done[file.name] = DoneFile(file.name, file.key, sha256, mine)
        self._journal.add(self.done[file.name])

    def end(self) -> None:
        """Delete files of earlier plans (those listed by a run of ours, nothing else)."""
        for name in self._earlier.names - self._planned:
            (self.path / name).unlink(missing_ok=True)
        self._journal.end(self.done[file.name] for file in self._plan.files)

    @property
    def _planned(self) -> Set[str]:
        return {file.name for file in self._plan.files}

    @property
    def _clip_bytes(self) -> int:
        return self._plan.tensor.nbytes // self._plan.tensor.clips

    def _keep(self) -> None:
        for number, file in enumerate(self._plan.files):
            item = self._earlier.done.get(file.name)
            path = self.path / file.name
            if item and item.key == file.key and path.is_file() and path.stat().st_size == self._plan.tensor.nbytes:
                bad = {name: reason for name, reason in item.bad.items() if name in self._members[number]}
                self.done[file.name] = DoneFile(file.name, file.key, item.sha256, bad)


def _members(plan: Plan) -> List[Set[str]]:
    """Return the ids of the videos with clips in each file."""
    members: List[Set[str]] = [set() for _ in plan.files]
    for video in plan.videos:
        for clip in video.clips:
            members[clip.file].add(video.entry.id)
    return members
