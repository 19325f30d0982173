"""Tasks over several processes, or in this one, behind the same few calls."""

from __future__ import annotations

import contextlib
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, Callable, Dict, Iterator, Optional, Tuple

from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.undisturbed import deaf_children, let_signals_come, undisturbed, without_algebra
from clip2om.preprocess.worker import watch_parent

# Two files can be flushed to the disk at once; behind eight that wait, the disk is what limits.
_THREADS, _WAITING = 2, 8


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
    """A bounded number of tasks in work; results are taken as they come.

    Tasks that mostly wait for the disk are run aside, by threads of this process, so that no worker waits with them.
    """

    def __init__(self, executor: Executor, depth: int, aside: Executor) -> None:
        self._executor = executor
        self._depth = depth
        self._aside = aside
        self._running: Dict[Future, object] = {}
        self._waiting: Dict[Future, object] = {}

    @property
    def full(self) -> bool:
        """True while as many tasks are in work as the workers, or the disk, can use without idling."""
        return len(self._running) >= self._depth or len(self._waiting) >= _WAITING

    def submit(self, tag: object, task: Callable[..., Any], *args: Any) -> None:
        """Start ``task(*args)``; ``tag`` comes back with its result."""
        if isinstance(self._executor, InlineExecutor):
            # The task itself: who presses Ctrl-C does not wait for the end of a long video.
            self._running[self._executor.submit(task, *args)] = tag
            return
        # A worker may be started by this: half started it would be nobody's.
        with undisturbed(), deaf_children(), without_algebra():
            self._running[self._executor.submit(task, *args)] = tag

    def submit_aside(self, tag: object, task: Callable[..., Any], *args: Any) -> None:
        """Start ``task(*args)`` in a thread of this process."""
        self._waiting[self._aside.submit(task, *args)] = tag

    def take(self) -> Optional[Tuple[Any, Any]]:
        """Wait for a task and return (tag, result), or None when none is in work."""
        every = {**self._running, **self._waiting}
        if not every:
            return None
        finished = next(iter(wait(every, return_when=FIRST_COMPLETED).done))
        tag = every[finished]
        self._running.pop(finished, None)
        self._waiting.pop(finished, None)
        try:
            return tag, finished.result()
        except BrokenProcessPool:
            let_signals_come()
            raise RequestError(
                "a worker process died (killed, or out of memory)", None, "run again to resume, with fewer --workers"
            ) from None


@contextlib.contextmanager
def open_pool(workers: int) -> Iterator[Pool]:
    """Open a pool of ``workers`` processes; with 1 the tasks run in this process."""
    with ThreadPoolExecutor(_THREADS) as aside:
        if workers == 1:
            yield Pool(InlineExecutor(), 1, aside)
            return
        # spawn: a fork of a process with threads can deadlock, and the workers need nothing of the parent's memory.
        # Its semaphores start multiprocessing's tracker, which a closed terminal must not reach either.
        with deaf_children():
            executor = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=watch_parent)
        try:
            yield Pool(executor, 2 * workers, aside)
        except BaseException:
            # What they have in work has no final name yet, and nobody waits for it.
            kill_workers(executor)
            raise
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def kill_workers(executor: ProcessPoolExecutor) -> None:
    """End the processes of a pool at once, whatever they are doing."""
    processes = getattr(executor, "_processes", None) or {}
    for process in list(processes.values()):
        process.kill()
