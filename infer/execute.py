"""Stream batches through an opened engine."""

from __future__ import annotations

import itertools
import time
from contextlib import closing
from typing import Callable, Iterable, Optional, Tuple

import numpy as np

from clip2om.infer.engines.base import Engine, Result
from clip2om.infer.groups import Group
from clip2om.infer.journal import Entry
from clip2om.infer.measure import Clock
from clip2om.infer.reader import BatchReader, read_ahead
from clip2om.infer.task import Hooks, Outcome, Task
from clip2om.pipeline.tensor import TensorSpec
from clip2om.pipeline.undisturbed import undisturbed

Consume = Callable[[Group, Result, Optional[Entry]], None]


def stream(engine: Engine, task: Task, hooks: Hooks) -> Outcome:
    """Open ``engine`` and run ``task`` on it, in this process.

    Raises:
        RequestError: the engine cannot load or run the model, or a file cannot be used; results kept so far stay.
    """
    with engine:
        settings = engine.settings()
        warmup = warm_up(engine, task.job.feed, task.warmup)
        hooks.begin()
        clock = Clock()
        total = sum(group.clips for group in task.groups)
        with hooks.console.progress(total, "clips") as progress:

            def consume(group: Group, result: Result, entry: Optional[Entry]) -> None:
                hooks.keep(group, entry)
                clock.add(result.start, result.end, result.compute_ms, copies_ms=result.copies_ms)
                progress.advance(group.clips)

            execute(engine, task, task.groups, consume)
        seen = engine.observed()
    number = (*engine.options.devices, 0)[0]
    return Outcome(clock, warmup, settings, {str(number): seen} if seen else {})


def warm_up(engine: Engine, feed: TensorSpec, rounds: int) -> Tuple[int, float]:
    """Run ``rounds`` zero batches per request, so that every stream has allocated what it needs.

    Returns:
        Batches run, and the seconds they took.
    """
    batches = rounds * engine.requests
    start = time.perf_counter()
    zeros = np.zeros(feed.shape, feed.dtype)
    for _ in engine.infer(itertools.repeat(zeros, batches)):
        pass
    return batches, time.perf_counter() - start


def execute(engine: Engine, task: Task, groups: Iterable[Group], consume: Consume) -> None:
    """Read, run, write and ``consume`` each of ``groups``, in order; reading goes on while the engine works.

    ``groups`` is asked for the next one only when there is room for it.

    Raises:
        RequestError: a file cannot be used, or the engine fails; results consumed so far stay.
    """
    reader = BatchReader(task.job.batches, task.job.manifest.tensor, task.job.feed, task.verify, engine.allocate)
    done, ahead = itertools.tee(groups)
    feeds = read_ahead(reader.read, ahead, engine.read_ahead)
    with closing(feeds), closing(engine.infer(feeds)) as results:
        for group, result in zip(done, results):
            # A result is written and recorded, or neither.
            with undisturbed():
                consume(group, result, task.scores.write(group, result.outputs) if task.scores else None)
