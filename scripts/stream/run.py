"""The stream itself: whole batches from shared memory into the engine, its scores to the disk."""

from __future__ import annotations

import argparse
import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Generator, Iterator, List, Sequence, Set

import numpy as np

from clip2om.infer.engines.base import Engine, Options
from clip2om.infer.execute import warm_up
from clip2om.infer.measure import Clock
from clip2om.infer.report import show
from clip2om.pipeline.card import Card
from clip2om.pipeline.console import Console, Progress
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.facts import usable_cores
from clip2om.pipeline.records import Summary, read_record
from clip2om.preprocess.plan import Plan
from clip2om.scripts.shared.opening import open_engine
from clip2om.scripts.stream.feed import Feeder
from clip2om.scripts.stream.results import Model, Results

_COVERS = "first frame decoded to last write"
# More batches in flight than any engine has by itself: what it really has is known when it is open.
_SPARE = 3


def stream(
    args: argparse.Namespace,
    card: Card,
    plan: Plan,
    model: Model,
    options: Options,
    output: Path,
    console: Console,
) -> None:
    """Decode, infer and write what is not done yet; while the workers start, the engine loads the model.

    Raises:
        RequestError: the engine cannot load or run the model, a worker died, no video can be used, or with --strict
            one of them cannot. Batches that are done are kept.
    """
    workers = args.workers or usable_cores()
    in_flight = options.requests or max(options.streams or 1, usable_cores()) + _SPARE
    feeder = Feeder(plan, workers, in_flight, _refusal(args.strict, console))
    with feeder.open(), open_engine(args.engine, model.folder, model.record, options, console) as engine:
        if engine.requests > in_flight:
            raise RequestError(f"the engine wants {engine.requests} batches in flight", "--requests", "pass a number")
        results = Results(output, card, plan, model, engine, args.force)
        if args.strict and results.bad:
            name, bad = next(iter(results.bad.items()))
            raise RequestError(bad.reason, f"video {name!r}", "leave out --strict to skip it")
        kept = len(results.plan.files) - len(results.todo)
        if kept:
            console.say(f"{kept} of {len(results.plan.files)} batches are kept from an earlier run")
        warmup = warm_up(engine, plan.tensor, args.warmup) if results.todo else (0, 0.0)
        results.begin()
        clock = Clock(covers=_COVERS)
        made = _run(feeder, engine, results, clock, console)
        manifest = results.end(made, clock, warmup, engine.settings())
    for item in manifest.skipped:
        console.say(f"skipped {item.id!r}: {item.reason}")
    figures = read_record(results.scores / "summary.json", Summary, "").throughput
    if figures is not None:
        show(figures, console)
        console.result(_where(feeder, clock))


def _run(feeder: Feeder, engine: Engine, results: Results, clock: Clock, console: Console) -> List[int]:
    """Make and score what is not done, and return its numbers; begin again where a video that proved bad was."""
    made: Set[int] = set()

    def note() -> str:
        return _where(feeder, clock)

    # A digest takes as long as a fast device needs for a batch, so that is another thread's work.
    with ThreadPoolExecutor(2) as pool, console.progress(_clips(results), "clips", note) as progress:
        while results.todo:
            todo = results.todo
            feeder.begin(results.plan, todo)
            made |= set(_once(feeder, engine, results, todo, clock, pool, progress))
            if not feeder.bad:
                break
            feeder.abandon()
            results.leave_out(feeder.bad)
            progress.remain(_clips(results))
    # What was made and is no longer in the plan counts for nothing.
    return sorted(made & set(range(len(results.plan.files))))


def _once(
    feeder: Feeder,
    engine: Engine,
    results: Results,
    todo: Sequence[int],
    clock: Clock,
    pool: ThreadPoolExecutor,
    progress: Progress,
) -> Iterator[int]:
    """Score the batches ``todo`` until a video proves bad, and yield the numbers of those that have scores."""
    digests: List[Future[str]] = []

    def feeds() -> Generator[np.ndarray, None, None]:
        for batch in feeder.feeds():
            digests.append(pool.submit(_digest, batch))
            yield batch

    source = feeds()
    with closing(source), closing(engine.infer(source)) as found:
        for place, (number, result) in enumerate(zip(todo, found)):
            results.add(number, digests[place].result(), result)
            feeder.release()
            clock.add(result.start, result.end, result.compute_ms)
            progress.advance(results.plan.files[number].clips)
            yield number


def _clips(results: Results) -> int:
    return sum(results.plan.files[number].clips for number in results.todo)


def _where(feeder: Feeder, clock: Clock) -> str:
    """Say where the time goes: how busy the decoding processes and the engine are, and how much decoding waits."""
    wall = max(clock.wall_s, 1e-9)
    each = wall * feeder.workers
    # Where the device takes its own time, that is without the results that wait to be fetched.
    alone = sum(sum(times) for times in clock.compute_ms.values()) / 1000
    shares = (feeder.spent.decoding / each, (alone or clock.compute_s) / wall, feeder.spent.waiting / each)
    decode, infer, wait = (f"{100 * min(share, 1.0):.0f} %" for share in shares)
    return f"decoding {decode}, inferring {infer}, waiting for the engine {wait}"


def _digest(batch: np.ndarray) -> str:
    return hashlib.sha256(batch.reshape(-1).view(np.uint8).data).hexdigest()


def _refusal(strict: bool, console: Console):  # type: ignore[no-untyped-def]
    """Return what is to be done about a video that turns out unusable."""

    def refuse(name: str, path: str, reason: str) -> None:
        if strict:
            raise RequestError(reason, f"video {name!r} ({path})", "leave out --strict to skip it")
        console.warn(f"skipped {name!r}: {reason}")

    return refuse
