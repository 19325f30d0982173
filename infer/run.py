"""Score every batch that is not scored yet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Optional

from infer.engines.base import Engine, Result
from infer.execute import execute, warm_up
from infer.groups import Group
from infer.job import Job
from infer.journal import Entry, Identity, Journal, Progress
from infer.measure import throughput, work_of
from infer.reader import BatchReader
from infer.scores import SUMMARY, ScoreFolder
from pipeline import facts
from pipeline.artifact import folder_lock, remove_partials
from pipeline.console import Console
from pipeline.manifest import FILE_NAME
from pipeline.records import Summary, find_record, write_record

PRECISIONS = {"f32": "float32", "bf16": "bfloat16"}


@dataclass(frozen=True)
class RunOptions:
    """What the user chose for a run, besides the engine's options."""

    warmup: int = 1
    verify: bool = False
    force: bool = False
    loops: int = 0


def find_current(job: Job, engine: Engine, output: Path) -> Optional[Summary]:
    """Return the summary of an earlier run that did all of ``job``, or None; the engine is not opened."""
    former = find_record(output / SUMMARY, Summary)
    if former is not None and _folder(job, output).is_current(describe(job, engine), former):
        return former
    return None


def run(job: Job, engine: Engine, output: Path, options: RunOptions, console: Console) -> Summary:
    """Bring ``output`` up to date with ``job`` and return its summary.

    Results of an earlier or interrupted run are kept where model, engine, precision and batch are the same. The
    summary is withdrawn when the first change is made and written last.

    Raises:
        RequestError: the engine cannot load or run the model, a batch cannot be used, another run writes here.
    """
    with folder_lock(output):
        remove_partials(output)
        task = _Run(job, engine, output, options, console)
        summary = task.score() if task.todo else task.adopt()
        write_record(output / SUMMARY, summary)
    return summary


def describe(job: Job, engine: Engine) -> Summary:
    """Return the summary of running ``job``, without what only the run itself can tell."""
    return Summary(
        engine=engine.name,
        engine_version=engine.version(),
        device=engine.device,
        precision=PRECISIONS[engine.options.precision],
        card=job.record.card,
        soc=job.record.soc,
        model_sha256=job.record.sha256,
        manifest=str(job.batches / FILE_NAME),
        manifest_sha256=job.manifest_sha256,
        fingerprint=job.manifest.fingerprint.digest,
        outputs=job.outputs,
        files=[],
        throughput=None,
        host={**facts.host(), "versions": facts.versions(("numpy", *engine.distributions))},
    )


def option_facts(engine: Engine, options: RunOptions) -> Dict[str, Any]:
    """Return the options of a run for its record, with what the engine chose itself; the engine must be open."""
    return {**engine.settings(), "warmup": options.warmup, "verify": options.verify}


class _Run:
    """One run over one folder: what is kept, what is to do, and how it is done."""

    def __init__(self, job: Job, engine: Engine, output: Path, options: RunOptions, console: Console) -> None:
        self._job, self._engine, self._options, self._console = job, engine, options, console
        self._folder = _folder(job, output)
        self._journal = Journal(output)
        self._identity = _identity(describe(job, engine))
        self._former = self._journal.read()
        usable = not options.force and self._former is not None and self._former.identity == self._identity
        kept = self._folder.still_whole(job.groups, self._former) if usable and self._former else []
        self._entries: Dict[str, Entry] = {entry.key: entry for entry in kept}
        self._kept = len(kept)
        self.todo: List[Group] = [group for group in job.groups if group.key not in self._entries]

    def score(self) -> Summary:
        """Open the engine and run what is to do."""
        job, options = self._job, self._options
        if self._kept:
            self._console.say(f"{self._kept} of {len(job.groups)} batches are kept from an earlier run")
        with self._engine as engine:
            settings = option_facts(engine, options)
            warmup = warm_up(engine, job.feed, options.warmup)
            self._begin()
            reader = BatchReader(job.batches, job.manifest.tensor, job.feed, options.verify)
            clock = execute(engine, reader, self.todo, self._keep, self._console)
        figures = throughput(work_of(job.manifest, self.todo), clock, warmup, self._kept)
        return replace(self._summary(), throughput=figures, latency_ms=clock.latency_ms, options=settings)

    def adopt(self) -> Summary:
        """Take the results as they are, all of an earlier run; without a run there are no figures."""
        self._begin()
        return self._summary()

    def _summary(self) -> Summary:
        files = [file for group in self._job.groups for file in self._entries[group.key].files]
        return replace(describe(self._job, self._engine), files=files)

    def _begin(self) -> None:
        """Withdraw what is no longer valid; until then the folder is as an earlier run left it."""
        former = find_record(self._folder.path / SUMMARY, Summary)
        owned = set((self._former or Progress(self._identity)).names)
        owned |= {file.name for file in former.files} if former else set()
        kept = list(self._entries.values())
        self._folder.withdraw(owned - {file.name for entry in kept for file in entry.files})
        self._journal.start(self._identity, kept)

    def _keep(self, group: Group, result: Result) -> None:
        entry = self._folder.write(group, result.outputs)
        self._journal.add(entry)
        self._entries[group.key] = entry


def _folder(job: Job, output: Path) -> ScoreFolder:
    return ScoreFolder(output, len(job.record.outputs), job.manifest.tensor.batch)


def _identity(summary: Summary) -> Identity:
    return Identity(summary.model_sha256, summary.engine, summary.engine_version, summary.precision)
