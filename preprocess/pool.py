"""Tasks over several processes, or in this one, behind the same few calls."""

from __future__ import annotations

import contextlib
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, Callable, Dict, Iterator, Optional, Tuple

from pipeline.errors import RequestError
from preprocess.worker import watch_parent


class InlineExecutor(Executor):
    """Runs each task at once in this process: no start-up cost, and a plain stack trace."""

    def submit(self, task: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Run ``task`` and return its finished future."""
        future: Future = Future()
        try:
            future.set_result(task(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Pool:
    """A bounded number of tasks in work; results are taken as they come."""

    def __init__(self, executor: Executor, depth: int) -> None:
        self._executor = executor
        self._depth = depth
        self._running: Dict[Future, object] = {}

    @property
    def full(self) -> bool:
        """True while as many tasks are in work as the workers can use without idling."""
        return len(self._running) >= self._depth

    def submit(self, tag: object, task: Callable[..., Any], *args: Any) -> None:
        """Start ``task(*args)``; ``tag`` comes back with its result."""
        self._running[self._executor.submit(task, *args)] = tag

    def take(self) -> Optional[Tuple[Any, Any]]:
        """Wait for a task and return (tag, result), or None when none is in work."""
        if not self._running:
            return None
        finished = next(iter(wait(self._running, return_when=FIRST_COMPLETED).done))
        tag = self._running.pop(finished)
        try:
            return tag, finished.result()
        except BrokenProcessPool:
            raise RequestError(
                "a worker process died (killed, or out of memory)", None, "run again to resume, with fewer --workers"
            ) from None


@contextlib.contextmanager
def open_pool(workers: int) -> Iterator[Pool]:
    """Open a pool of ``workers`` processes; with 1 the tasks run in this process."""
    if workers == 1:
        yield Pool(InlineExecutor(), 1)
        return
    # spawn: a fork of a process with threads can deadlock, and the workers need nothing of the parent's memory.
    executor = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=watch_parent)
    try:
        yield Pool(executor, 2 * workers)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
