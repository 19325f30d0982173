"""Speed alone: every batch several times over, without result files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Optional

from clip2om.infer.dispatch import carry_out
from clip2om.infer.engines.base import Backend
from clip2om.infer.groups import Group
from clip2om.infer.job import Job
from clip2om.infer.journal import Entry
from clip2om.infer.measure import throughput, work_of
from clip2om.infer.reader import verify_files
from clip2om.infer.run import RunOptions, describe, host_facts, option_facts, ran_on
from clip2om.infer.task import Hooks, Task
from clip2om.pipeline.artifact import folder_lock, write_json
from clip2om.pipeline.console import Console
from clip2om.pipeline.records import Summary, Throughput
from clip2om.pipeline.typed import to_dict

FILE_NAME = "benchmark.json"
VERSION = 1


def benchmark(job: Job, engine: Backend, output: Path, options: RunOptions, console: Console) -> Throughput:
    """Run all batches ``options.loops`` times, write ``benchmark.json`` and return its figures.

    Scores and summary of the folder are left as they are. The wall clock covers reading (from the second loop on
    usually from memory) and no writing.

    Raises:
        RequestError: the engine cannot load or run the model, a batch cannot be used, another run writes here.
    """
    with folder_lock(output):
        # Before the clock starts: what is measured is the engine.
        if options.verify:
            verify_files(job.batches, job.manifest.files)
        task = Task(job, job.groups * options.loops, None, options.warmup, verify=False)
        outcome = carry_out(engine, task, Hooks(_nothing, _discard, console))
        work, clock = work_of(job.manifest, job.groups, options.loops), outcome.clock
        figures = throughput(work, clock, outcome.warmup, 0, options.loops)
        described = replace(describe(job, engine), device=ran_on(engine, outcome), host=host_facts(engine))
        described = replace(described, observed=outcome.observed)
        _write(output, described, figures, clock.latency_ms, option_facts(outcome, task))
    return figures


def _nothing() -> None:
    pass


def _discard(_group: Group, _entry: Optional[Entry]) -> None:
    pass


def _write(output: Path, run: Summary, figures: Throughput, latency_ms: list, settings: dict) -> None:
    facts = {key: value for key, value in to_dict(run).items() if key not in ("files", "outputs")}
    measured = {"throughput": to_dict(figures), "latency_ms": latency_ms, "options": settings}
    write_json(output / FILE_NAME, "benchmark", VERSION, {**facts, **measured})
