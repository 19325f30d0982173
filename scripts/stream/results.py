"""What a stream leaves: the files of the stages preprocess (without the batches) and infer, batch by batch.

The journals are those of the two stages, so an interrupted stream goes on where it was, and what it leaves in the end
is what the stages leave one after the other: manifest, scores and summary. The next stage reads them as it reads those.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

from clip2om.infer.engines.base import Backend, Result
from clip2om.infer.groups import Group
from clip2om.infer.job import Job
from clip2om.infer.journal import Entry, Identity
from clip2om.infer.journal import Journal as ScoreJournal
from clip2om.infer.measure import Clock, throughput, work_of
from clip2om.infer.run import describe, host_facts
from clip2om.infer.scores import SUMMARY, ScoreFolder
from clip2om.pipeline.artifact import remove_partials, sha256_file
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import FILE_NAME, BatchFile, Manifest, read_manifest, write_manifest
from clip2om.pipeline.records import CompiledRecord, Summary, find_record, write_record
from clip2om.pipeline.undisturbed import undisturbed
from clip2om.preprocess.build import manifest_of
from clip2om.preprocess.folder import known_bad, reasons
from clip2om.preprocess.journal import BadVideo, DoneFile, Item, Journal
from clip2om.preprocess.plan import Plan, kinds_of
from clip2om.preprocess.sources import decoder_versions

BATCHES, SCORES, RESULTS = "batches", "scores", "results"


@dataclass(frozen=True)
class Model:
    """A compiled model: its folder and its record."""

    folder: Path
    record: CompiledRecord


class Results:
    """The output folder of a stream: ``batches``, ``scores`` and ``results`` are the folders in it."""

    def __init__(self, root: Path, card: Card, plan: Plan, model: Model, engine: Backend, fresh: bool) -> None:
        self._card, self._asked, self._model, self._engine = card, plan, model, engine
        self.batches, self.scores, self.results = root / BATCHES, root / SCORES, root / RESULTS
        self._batch_journal, self._score_journal = Journal(self.batches), ScoreJournal(self.scores)
        self._identity = Identity(model.record.sha256, engine.name, engine.version(), engine.precision)
        self._files = ScoreFolder(self.scores, len(model.record.outputs), plan.tensor.clips)
        self._done: Dict[int, DoneFile] = {}
        self._entries: Dict[int, Entry] = {}
        self._scored = self._score_journal.read()
        self._former = find_record(self.scores / SUMMARY, Summary)
        self._versions = decoder_versions(kinds_of(plan.videos))
        earlier = self._batch_journal.read()
        self.bad: Dict[str, BadVideo] = {} if fresh else known_bad(plan, earlier.bad)
        self.plan = plan.without(reasons(self.bad))
        if not fresh:
            self._keep(earlier.done)

    @property
    def todo(self) -> List[int]:
        """Numbers of the planned batches that have no scores yet."""
        return [number for number in range(len(self.plan.files)) if number not in self._done]

    def leave_out(self, bad: Mapping[str, str]) -> None:
        """Give the places of videos that proved bad, by id with the reason, to the others."""
        for video in self.plan.videos:
            if video.entry.id in bad:
                name = video.entry.id
                self.bad[name] = BadVideo(name, self.plan.key_of(video), bad[name])
        self.plan = self._asked.without(reasons(self.bad))
        keys = {number: file.key for number, file in enumerate(self.plan.files)}
        gone = [number for number, item in self._done.items() if item.key != keys.get(number)]
        with undisturbed():
            self._files.withdraw({file.name for number in gone for file in self._entries[number].files})
            for number in gone:
                del self._done[number], self._entries[number]
            self._batch_journal.begin(self._items(), set())
            self._score_journal.start(self._identity, [self._entries[number] for number in sorted(self._entries)])

    def is_whole(self) -> bool:
        """True where an earlier run has done everything and nothing has changed since, the labels included."""
        if self.todo or self._former is None:
            return False
        written = sha256_file(self.batches / FILE_NAME) if (self.batches / FILE_NAME).is_file() else ""
        same = written == self._former.manifest_sha256
        return same and read_manifest(self.batches) == self._manifest()

    def begin(self) -> None:
        """Withdraw what is no longer valid."""
        for folder in (self.batches, self.scores):
            folder.mkdir(parents=True, exist_ok=True)
            remove_partials(folder)
        kept = {file.name for entry in self._entries.values() for file in entry.files}
        owned = set(self._scored.names if self._scored else ())
        owned |= {file.name for file in self._former.files} if self._former else set()
        self._files.withdraw(owned - kept)
        self._batch_journal.begin(self._items(), set())
        self._score_journal.start(self._identity, list(self._entries.values()))

    def add(self, number: int, digest: str, result: Result) -> None:
        """Write the scores of a batch and record both.

        Args:
            number: Of the planned batch.
            digest: SHA-256 of what was fed.
            result: What the engine made of it.
        """
        planned = self.plan.files[number]
        done = DoneFile(planned.name, planned.key, digest, self._versions)
        # Scores are written and recorded, or neither.
        with undisturbed():
            entry = self._files.write(self._group(number, digest), result.outputs)
            self._score_journal.add(entry)
            self._batch_journal.add(done)
        self._entries[number] = entry
        self._done[number] = done

    def end(self, made: List[int], clock: Clock, warmup: Tuple[int, float], settings: Dict[str, Any]) -> Manifest:
        """Write manifest and summary, which say that the folder is whole, and return the manifest.

        Raises:
            RequestError: no video can be used.
        """
        self._batch_journal.end(self._items())
        if not self.plan.videos:
            first = self.plan.skipped[0]
            raise RequestError(f"no video can be used: {first.id!r}: {first.reason}, and so on", self.batches)
        manifest = self._manifest()
        write_manifest(self.batches, manifest)
        groups = [Group((file,), manifest.tensor.clips) for file in manifest.files]
        digest = sha256_file(self.batches / FILE_NAME)
        job = Job(self._model.folder, self._model.record, self.batches, manifest, digest, manifest.tensor, groups)
        summary = replace(
            describe(job, self._engine),
            files=[file for number in sorted(self._entries) for file in self._entries[number].files],
            host=host_facts(self._engine),
            options={**settings, "warmup": warmup[0], "stream": True},
        )
        if made:
            work = work_of(manifest, [groups[number] for number in made])
            figures = throughput(work, clock, warmup, len(groups) - len(made))
            summary = replace(summary, throughput=figures, latency_ms=clock.latency_ms, start_ms=clock.start_ms)
        elif self._former is not None:
            names = ("throughput", "latency_ms", "start_ms", "options", "host")
            summary = replace(summary, **{name: getattr(self._former, name) for name in names})
        write_record(self.scores / SUMMARY, summary)
        return manifest

    def _manifest(self) -> Manifest:
        return manifest_of(self._card, self.plan, {item.name: item for item in self._done.values()})

    def _items(self) -> List[Item]:
        return [*self.bad.values(), *(self._done[number] for number in sorted(self._done))]

    def _keep(self, made: Mapping[str, DoneFile]) -> None:
        """Take over the batches of earlier runs that were made from the same files and scored by the same model."""
        scored = self._scored
        if scored is None or scored.identity != self._identity:
            return
        for number, planned in enumerate(self.plan.files):
            item = made.get(planned.name)
            if item is None or item.key != planned.key:
                continue
            group = self._group(number, item.sha256)
            for entry in self._files.still_whole([group], scored):
                self._done[number] = item
                self._entries[number] = entry

    def _group(self, number: int, digest: str) -> Group:
        planned, tensor = self.plan.files[number], self.plan.tensor
        return Group((BatchFile(planned.name, tensor.nbytes, planned.clips, digest),), tensor.clips)
