"""Score every batch that is not scored yet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Optional

from clip2om.infer.dispatch import carry_out
from clip2om.infer.engines.base import Backend
from clip2om.infer.groups import Group
from clip2om.infer.job import Job
from clip2om.infer.journal import Entry, Identity, Journal, Progress
from clip2om.infer.measure import throughput, work_of
from clip2om.infer.reader import verify_files
from clip2om.infer.scores import SUMMARY, ScoreFolder
from clip2om.infer.task import Hooks, Outcome, Task
from clip2om.pipeline import ascend_host, facts
from clip2om.pipeline.artifact import folder_lock, remove_partials
from clip2om.pipeline.console import Console
from clip2om.pipeline.manifest import FILE_NAME
from clip2om.pipeline.records import Summary, find_record, write_record


@dataclass(frozen=True)
class RunOptions:
    """What the user chose for a run, besides the engine's options."""

    warmup: int = 1
    verify: bool = True
    force: bool = False
    loops: int = 0
    format: str = "bin"


def find_current(job: Job, engine: Backend, output: Path, options: RunOptions) -> Optional[Summary]:
    """Return the summary of an earlier run that did all of ``job``, or None; the engine is not opened.

    Raises:
        RequestError: a batch is no longer what was scored.
    """
    former = find_record(output / SUMMARY, Summary)
    if former is None or not _folder(job, output, options.format).is_current(describe(job, engine), former):
        return None
    if options.verify:
        verify_files(job.batches, job.manifest.files)
    return former


def run(job: Job, engine: Backend, output: Path, options: RunOptions, console: Console) -> Summary:
    """Bring ``output`` up to date with ``job`` and return its summary.

    Results of an earlier or interrupted run are kept where model, engine, precision and batch are the same. The
    summary is withdrawn when the first change is made and written last.

    Raises:
        RequestError: the engine cannot load or run the model, a batch cannot be used, another run writes here.
    """
    with folder_lock(output):
        remove_partials(output)
        task = _Run(job, engine, output, options, console)
        if options.verify:
            task.verify_kept()
        summary = task.score() if task.todo else task.adopt()
        write_record(output / SUMMARY, summary)
    return summary


def describe(job: Job, engine: Backend) -> Summary:
    """Return the summary of running ``job``, without what only the run itself can tell and without the host."""
    return Summary(
        engine=engine.name,
        engine_version=engine.version(),
        device=engine.device,
        precision=engine.precision,
        card=job.record.card,
        soc=job.record.soc,
        model_sha256=job.record.sha256,
        manifest=str(job.batches / FILE_NAME),
        manifest_sha256=job.manifest_sha256,
        fingerprint=job.manifest.fingerprint.digest,
        outputs=job.outputs,
        files=[],
        throughput=None,
        labels_digest=job.record.labels_digest or job.manifest.labels_digest,
    )


def host_facts(engine: Backend) -> Dict[str, Any]:
    """Return this host's processor, memory, versions and, where there are any, NPUs; may run npu-smi, once."""
    versions = facts.versions(("numpy", *engine.distributions))
    return {**facts.host(), "versions": versions, "ascend": ascend_host.facts()}


def option_facts(outcome: Outcome, task: Task) -> Dict[str, Any]:
    """Return the options of a run for its record, with what the engine chose itself."""
    return {**outcome.settings, "warmup": task.warmup, "verify": task.verify}


def ran_on(engine: Backend, outcome: Outcome) -> str:
    """Return in words what computed: of the devices that were asked for, those that got batches."""
    ran = tuple(outcome.settings.get("devices", ())) or engine.options.devices
    return type(engine)(engine.model.parent, engine.record, replace(engine.options, devices=ran)).device


class _Run:
    """One run over one folder: what is kept, what is to do, and how it is done."""

    def __init__(self, job: Job, engine: Backend, output: Path, options: RunOptions, console: Console) -> None:
        self._job, self._engine, self._options, self._console = job, engine, options, console
        self._folder = _folder(job, output, options.format)
        self._journal = Journal(output)
        self._identity = _identity(describe(job, engine))
        self._former = self._journal.read()
        usable = not options.force and self._former is not None and self._former.identity == self._identity
        kept = self._folder.still_whole(job.groups, self._former) if usable and self._former else []
        self._entries: Dict[str, Entry] = {entry.key: entry for entry in kept}
        self._kept = len(kept)
        self.todo: List[Group] = [group for group in job.groups if group.key not in self._entries]

    def verify_kept(self) -> None:
        """Compare with the manifest what is not going to be read, because its results are kept.

        Raises:
            RequestError: a batch is not the manifest's.
        """
        kept = [file for group in self._job.groups if group.key in self._entries for file in group.files]
        verify_files(self._job.batches, kept)

    def score(self) -> Summary:
        """Open the engine and run what is to do."""
        job, options = self._job, self._options
        if self._kept:
            self._console.say(f"{self._kept} of {len(job.groups)} batches are kept from an earlier run")
        task = Task(job, self.todo, self._folder, options.warmup, options.verify)
        outcome = carry_out(self._engine, task, Hooks(self._begin, self._keep, self._console))
        figures = throughput(work_of(job.manifest, self.todo), outcome.clock, outcome.warmup, self._kept)
        facts = option_facts(outcome, task)
        clock = outcome.clock
        summary = replace(self._summary(), latency_ms=clock.latency_ms, start_ms=clock.start_ms)
        summary = replace(summary, device=ran_on(self._engine, outcome), observed=outcome.observed)
        return replace(summary, throughput=figures, options=facts)

    def adopt(self) -> Summary:
        """Take the results as they are, all of earlier runs; the figures stay those that were measured with them."""
        former = find_record(self._folder.path / SUMMARY, Summary)
        self._begin()
        summary = self._summary()
        if former is None or former.throughput is None:
            return summary
        self._console.say("every batch was kept from an earlier run; its figures follow")
        return replace(
            summary,
            device=former.device,
            throughput=former.throughput,
            latency_ms=former.latency_ms,
            start_ms=former.start_ms,
            options=former.options,
            host=former.host,
            observed=former.observed,
        )

    def _summary(self) -> Summary:
        files = [file for group in self._job.groups for file in self._entries[group.key].files]
        return replace(describe(self._job, self._engine), files=files, host=host_facts(self._engine))

    def _begin(self) -> None:
        """Withdraw what is no longer valid; until then the folder is as an earlier run left it."""
        former = find_record(self._folder.path / SUMMARY, Summary)
        owned = set((self._former or Progress(self._identity)).names)
        owned |= {file.name for file in former.files} if former else set()
        kept = list(self._entries.values())
        self._folder.withdraw(owned - {file.name for entry in kept for file in entry.files})
        self._journal.start(self._identity, kept)

    def _keep(self, group: Group, entry: Optional[Entry]) -> None:
        if entry is not None:
            self._journal.add(entry)
            self._entries[group.key] = entry


def _folder(job: Job, output: Path, form: str) -> ScoreFolder:
    return ScoreFolder(output, len(job.record.outputs), job.manifest.tensor.clips, form)


def _identity(summary: Summary) -> Identity:
    return Identity(summary.model_sha256, summary.engine, summary.engine_version, summary.precision)
