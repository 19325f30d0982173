"""Speed alone: every batch several times over, without result files."""

from __future__ import annotations

from pathlib import Path

from infer.engines.base import Engine, Result
from infer.execute import execute, warm_up
from infer.groups import Group
from infer.job import Job
from infer.measure import throughput, work_of
from infer.reader import BatchReader
from infer.run import RunOptions, describe, option_facts
from pipeline.artifact import folder_lock, write_json
from pipeline.console import Console
from pipeline.records import Summary, Throughput
from pipeline.typed import to_dict

FILE_NAME = "benchmark.json"
VERSION = 1


def benchmark(job: Job, engine: Engine, output: Path, options: RunOptions, console: Console) -> Throughput:
    """Run all batches ``options.loops`` times, write ``benchmark.json`` and return its figures.

    Scores and summary of the folder are left as they are. The wall clock covers reading (from the second loop on
    usually from memory) and no writing.

    Raises:
        RequestError: the engine cannot load or run the model, a batch cannot be used, another run writes here.
    """
    with folder_lock(output):
        with engine:
            settings = option_facts(engine, options)
            warmup = warm_up(engine, job.feed, options.warmup)
            reader = BatchReader(job.batches, job.manifest.tensor, job.feed, options.verify)
            clock = execute(engine, reader, job.groups * options.loops, _discard, console)
        work = work_of(job.manifest, job.groups, options.loops)
        figures = throughput(work, clock, warmup, 0, options.loops)
        _write(output, describe(job, engine), figures, clock.latency_ms, settings)
    return figures


def _discard(_group: Group, _result: Result) -> None:
    pass


def _write(output: Path, run: Summary, figures: Throughput, latency_ms: list, settings: dict) -> None:
    facts = {key: value for key, value in to_dict(run).items() if key not in ("files", "outputs")}
    measured = {"throughput": to_dict(figures), "latency_ms": latency_ms, "options": settings}
    write_json(output / FILE_NAME, "benchmark", VERSION, {**facts, **measured})
