"""One measurement of a compiled model over a batch folder, on the first engine that is really there."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Tuple

from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError

if TYPE_CHECKING:
    from clip2om.infer.engines.base import Options
    from clip2om.infer.job import Job
    from clip2om.pipeline.records import Throughput


def measure(name: str, job: Job, options: Options, output: Path, loops: int) -> Tuple[Throughput, str]:
    """Run all batches of ``job`` ``loops`` times and return the figures and the engine.

    A tool measures one run over the folder, whatever ``loops`` is.

    Args:
        name: The engine, or ``auto``.
        job: Model and batches.
        options: The engine's.
        output: Folder for benchmark.json, or for the scores of a tool.
        loops: How often to run all batches.

    Raises:
        RequestError: no engine runs the model here, or one fails.
    """
    from clip2om.infer.benchmark import benchmark
    from clip2om.infer.engines.base import EngineMissingError
    from clip2om.infer.engines.select import choose
    from clip2om.infer.engines.tool import Tool
    from clip2om.infer.run import RunOptions
    from clip2om.infer.run import run as score

    quiet = Console("measure", quiet=True)
    missing: Optional[EngineMissingError] = None
    for choice in choose(name, job.record, job.compiled):
        engine = choice.engine(job.compiled, job.record, options)
        title = f"{engine.name} {engine.version()}"
        try:
            if not isinstance(engine, Tool):
                return benchmark(job, engine, output, RunOptions(loops=loops), quiet), title
            figures = score(job, engine, output, RunOptions(force=True), quiet).throughput
            return _measured(figures, output), title
        except EngineMissingError as error:
            missing = error
    raise missing or RequestError("no engine runs it", job.compiled)


def loops_for(seconds: float, first: Throughput) -> int:
    """Return how often to run what took as long as ``first`` so that it takes ``seconds``."""
    return max(1, round(seconds / max(first.wall.seconds, 1e-3)))


def duration(text: str) -> float:
    """Argparse type: a time in seconds, above 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time in seconds, above 0")
    return value


def _measured(figures: Optional[Throughput], output: Path) -> Throughput:
    if figures is None:
        raise RequestError("the run left no figures", output, "run again")
    return figures
