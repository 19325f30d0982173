"""Stream batches through an opened engine."""

from __future__ import annotations

import itertools
import time
from contextlib import closing
from typing import Callable, List, Tuple

import numpy as np

from infer.engines.base import Engine, Result
from infer.groups import Group
from infer.measure import Clock
from infer.reader import BatchReader, read_ahead
from pipeline.console import Console
from pipeline.tensor import TensorSpec


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


def execute(
    engine: Engine,
    reader: BatchReader,
    groups: List[Group],
    consume: Callable[[Group, Result], None],
    console: Console,
) -> Clock:
    """Read, run and ``consume`` every group, in order; reading goes on while the engine works.

    Raises:
        RequestError: a file cannot be used, or the engine fails; results consumed so far stay.
    """
    clock = Clock()
    feeds = read_ahead(reader.read, groups, engine.requests + 1)
    total = sum(group.clips for group in groups)
    with console.progress(total, "clips") as progress, closing(feeds), closing(engine.infer(feeds)) as results:
        for group, result in zip(groups, results):
            consume(group, result)
            clock.add(result)
            progress.advance(group.clips)
    return clock
