"""Several devices: a process for each, and one list of batches from which each takes the next when it has room."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any, Dict, Iterator, List, NoReturn, Optional, Tuple, Union

from clip2om.infer.engines.base import Engine
from clip2om.infer.execute import execute, warm_up
from clip2om.infer.groups import Group
from clip2om.infer.journal import Entry
from clip2om.infer.measure import Clock
from clip2om.infer.task import Hooks, Outcome, Task
from clip2om.pipeline.errors import RequestError, last_line
from clip2om.pipeline.undisturbed import deaf_children, undisturbed

# Waiting for a device's last batches and for its driver to let go of it.
_GRACE_S = 60


@dataclass(frozen=True)
class _Ready:
    """The model is loaded and warm."""

    settings: Dict[str, Any]
    warmup: Tuple[int, float]


@dataclass(frozen=True)
class _Done:
    """A group has been computed and its result files are written."""

    group: Group
    entry: Optional[Entry]
    start: float
    end: float
    compute_ms: Optional[float]
    copies_ms: Optional[Tuple[float, float]]


@dataclass(frozen=True)
class _Seen:
    """Everything is done; what was seen of the device."""

    observed: Dict[str, Any]


@dataclass(frozen=True)
class _Worker:
    device: int
    process: Any
    connection: Connection

    def receive(self) -> Any:
        """Return the next message, None for the last one.

        Raises:
            RequestError, OSError: what stopped the worker.
        """
        try:
            message = self.connection.recv()
        except EOFError:
            self.process.join(_GRACE_S)
            raise RequestError(
                f"the process of device {self.device} ended with code {self.process.exitcode}",
                "--devices",
                "finished batches are kept: run again to resume",
            ) from None
        if isinstance(message, Exception):
            raise message
        return message


def share(engine: Engine, task: Task, hooks: Hooks) -> Outcome:
    """Run ``task`` on every device of the engine's options; results are written where they are computed.

    Raises:
        RequestError: of the device that fails first; the others are stopped, results kept so far stay.
    """
    engine.check_options()
    with _team(engine, task) as workers:
        ready = [worker.receive() for worker in workers]
        hooks.begin()
        clock = Clock()
        for worker in workers:
            worker.connection.send(None)
        total = sum(group.clips for group in task.groups)
        observed: Dict[str, Any] = {}
        with hooks.console.progress(total, "clips") as progress:
            for worker, message in _messages(workers):
                if isinstance(message, _Seen):
                    observed.update({str(worker.device): message.observed} if message.observed else {})
                    continue
                hooks.keep(message.group, message.entry)
                clock.add(message.start, message.end, message.compute_ms, worker.device, message.copies_ms)
                progress.advance(message.group.clips)
    settings = {**ready[0].settings, "devices": [worker.device for worker in workers]}
    warmup = (sum(one.warmup[0] for one in ready), max(one.warmup[1] for one in ready))
    return Outcome(clock, warmup, settings, observed)


def _messages(workers: List[_Worker]) -> Iterator[Tuple[_Worker, Union[_Done, _Seen]]]:
    running = {worker.connection: worker for worker in workers}
    while running:
        for connection in wait(list(running)):
            worker = running[connection]  # type: ignore[index]
            message = worker.receive()
            if message is None:
                del running[worker.connection]
            else:
                yield worker, message


@contextlib.contextmanager
def _team(engine: Engine, task: Task) -> Iterator[List[_Worker]]:
    # ACL does not survive a fork.
    context = multiprocessing.get_context("spawn")
    position = context.Value("q", 0)
    workers: List[_Worker] = []
    try:
        for device in engine.options.devices[: len(task.groups)]:
            with undisturbed(), deaf_children():
                workers.append(_start(context, engine, device, task, position))
        yield workers
    except BaseException:
        with undisturbed(lambda: _kill(workers), leaving=True):
            for worker in workers:
                worker.process.terminate()
            _join(workers)
        raise
    with undisturbed(lambda: _kill(workers)):
        _join(workers)


def _kill(workers: List[_Worker]) -> None:
    """End the processes at once: who interrupts twice does not want to wait for their devices."""
    for worker in workers:
        worker.process.kill()


def _start(context: Any, engine: Engine, device: int, task: Task, position: Any) -> _Worker:
    ours, theirs = context.Pipe()
    own = type(engine)(engine.model.parent, engine.record, replace(engine.options, devices=(device,)))
    process = context.Process(target=_work, args=(theirs, own, task, position), name=f"device {device}", daemon=True)
    process.start()
    theirs.close()
    return _Worker(device, process, ours)


def _join(workers: List[_Worker]) -> None:
    for worker in workers:
        worker.process.join(_GRACE_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _work(connection: Connection, engine: Engine, task: Task, position: Any) -> None:
    """Be the process of one device; its parent ends it with SIGTERM."""
    signal.signal(signal.SIGTERM, _stop)
    with contextlib.suppress(KeyboardInterrupt):
        try:
            _serve(connection, engine, task, position)
        finally:
            # There is nothing left to stop, and whatever ends with the process is not to be cut in two.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _serve(connection: Connection, engine: Engine, task: Task, position: Any) -> None:
    try:
        with engine:
            connection.send(_Ready(engine.settings(), warm_up(engine, task.job.feed, task.warmup)))
            connection.recv()
            execute(
                *(engine, task, _next_groups(task.groups, position)),
                lambda group, result, entry: connection.send(
                    _Done(group, entry, result.start, result.end, result.compute_ms, result.copies_ms)
                ),
            )
            connection.send(_Seen(engine.observed()))
        connection.send(None)
    except Exception as error:
        portable = isinstance(error, (RequestError, OSError))
        # Without a parent there is nobody to tell.
        with contextlib.suppress(OSError):
            connection.send(error if portable else RequestError(f"{engine.name} failed ({last_line(error)})"))


def _stop(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _next_groups(groups: List[Group], position: Any) -> Iterator[Group]:
    """Yield the groups that no other process has taken, one at a time."""
    while True:
        with position.get_lock():
            index = position.value
            position.value = index + 1
        if index >= len(groups):
            return
        yield groups[index]
