"""The output folder of a run: which planned files are whole, and how the others come into being."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, List, Mapping, Set

from clip2om.pipeline.artifact import PARTIAL_PREFIX, remove_partials, sha256_file
from clip2om.pipeline.facts import usable_cores
from clip2om.preprocess.journal import BadVideo, DoneFile, Item, Journal
from clip2om.preprocess.plan import Plan, kinds_of
from clip2om.preprocess.sources import decoder_versions
from clip2om.preprocess.worker import Target


class BatchFolder:
    """Planned files on disk.

    Attributes:
        plan: What is made: what was asked, without the videos that proved bad in this run or in an earlier one.
        bad: Those videos by id.
        done: Finished files by name; one of an earlier run counts if it was made from the same inputs.
        altered: Names of files that no longer hold what was written; they are to be made anew.
    """

    def __init__(self, path: Path, plan: Plan, fresh: bool = False, verify: bool = True) -> None:
        self.path = path
        self._asked = plan
        self._journal = Journal(path)
        self._earlier = self._journal.read()
        self._written = set(self._earlier.names)
        self.bad: Dict[str, BadVideo] = {} if fresh else known_bad(plan, self._earlier.bad)
        self.plan = plan.without(reasons(self.bad))
        self.done: Dict[str, DoneFile] = {} if fresh else self._still_good(self._earlier.done)
        self.altered = self._altered() if verify else []
        for name in self.altered:
            del self.done[name]
        self._versions: Dict[str, str] = {}

    @property
    def todo(self) -> Set[int]:
        """Numbers of the planned files that have to be made."""
        return {number for number, file in enumerate(self.plan.files) if file.name not in self.done}

    def begin(self) -> None:
        """Clear away what an interrupted run left, and withdraw the manifest until the folder is whole again."""
        self._versions = decoder_versions(kinds_of(self._asked.videos))
        remove_partials(self.path)
        self._written |= self._planned
        self._journal.begin(self._items(), self._written)

    def leave_out(self, bad: Mapping[str, str]) -> None:
        """Give the places of videos that proved bad, by id with the reason, to the others.

        Files that hold what they held before are kept; no task may be in work.
        """
        for video in self.plan.videos:
            if video.entry.id in bad:
                name = video.entry.id
                self.bad[name] = BadVideo(name, self.plan.key_of(video), bad[name])
        self.plan = self._asked.without(reasons(self.bad))
        self.done = self._still_good(self.done)
        remove_partials(self.path)
        self._written |= self._planned
        self._journal.begin(self._items(), self._written)

    def path_of(self, name: str) -> str:
        """Return where the video of an id is."""
        return next(video.source.path for video in self._asked.videos if video.entry.id == name)

    def create(self, number: int) -> None:
        """Reserve the space of file ``number``, all zero, under its temporary name.

        Raises:
            OSError: the disk is full, and that before the work instead of after it.
        """
        path = self.temporary(number)
        with open(path, "wb") as stream:
            try:
                os.posix_fallocate(stream.fileno(), 0, self.plan.tensor.nbytes)
            except OSError as error:
                error.filename = path
                raise

    def target(self, number: int, slot: int) -> Target:
        """Return where the clip in ``slot`` of file ``number`` is written."""
        return Target(self.temporary(number), slot * (self.plan.tensor.nbytes // self.plan.tensor.clips))

    def temporary(self, number: int) -> str:
        """Path under which file ``number`` is filled."""
        return str(self.path / (PARTIAL_PREFIX + self.plan.files[number].name))

    def final(self, number: int) -> str:
        """Path under which file ``number`` is whole."""
        return str(self.path / self.plan.files[number].name)

    def finished(self, number: int, sha256: str) -> None:
        """Record that file ``number`` has its final name."""
        file = self.plan.files[number]
        self.done[file.name] = DoneFile(file.name, file.key, sha256, self._versions)
        self._journal.add(self.done[file.name])

    def end(self) -> None:
        """Delete files of earlier plans (those listed by a run of ours, nothing else)."""
        for name in self._written - self._planned:
            (self.path / name).unlink(missing_ok=True)
        self._journal.end(self._items())

    @property
    def _planned(self) -> Set[str]:
        return {file.name for file in self.plan.files}

    def _items(self) -> List[Item]:
        return [*self.bad.values(), *(self.done[file.name] for file in self.plan.files if file.name in self.done)]

    def _altered(self) -> List[str]:
        """Return the files whose bytes are not those of the journal, which holds their SHA-256."""
        items = list(self.done.values())
        with ThreadPoolExecutor(usable_cores()) as pool:
            found = pool.map(lambda item: sha256_file(self.path / item.name), items)
            return [item.name for item, digest in zip(items, found) if digest != item.sha256]

    def _still_good(self, done: Mapping[str, DoneFile]) -> Dict[str, DoneFile]:
        """Return the files among ``done`` that are on the disk and hold what the plan wants of them."""
        kept: Dict[str, DoneFile] = {}
        for file in self.plan.files:
            item, path = done.get(file.name), self.path / file.name
            if item and item.key == file.key and path.is_file() and path.stat().st_size == self.plan.tensor.nbytes:
                kept[file.name] = item
        return kept


def known_bad(plan: Plan, earlier: Mapping[str, BadVideo]) -> Dict[str, BadVideo]:
    """Return those of the videos that proved bad earlier of which nothing has changed since."""
    found = ((earlier.get(video.entry.id), video) for video in plan.videos)
    return {item.bad: item for item, video in found if item is not None and item.key == plan.key_of(video)}


def reasons(bad: Mapping[str, BadVideo]) -> Dict[str, str]:
    """Return the reasons of bad videos by id."""
    return {name: item.reason for name, item in bad.items()}
