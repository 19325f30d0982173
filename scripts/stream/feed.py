"""Batches as they are needed: videos decoded by several processes, whole batches handed out in order."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, Callable, Dict, Generator, Iterator, List, Sequence

import numpy as np

from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.undisturbed import deaf_children, let_signals_come, undisturbed, without_algebra
from clip2om.preprocess.plan import Plan, PlannedVideo
from clip2om.preprocess.pool import kill_workers
from clip2om.scripts.stream.ring import Note, Ring
from clip2om.scripts.stream.worker import Decode, begin, decode

# How long to wait for a worker's note before looking whether the workers are still there.
_LOOK_S = 0.05
# Videos handed out beforehand, per worker: they last while the engine keeps the parent waiting.
_AHEAD = 16
# No batch has this number: there is room for every one of them.
_NEVER = 1 << 62
# Memory for batches on their way, unless a single one is larger.
_RING_BYTES = 256 << 20


@dataclass
class Spent:
    """Seconds of all workers together."""

    decoding: float = 0.0
    waiting: float = 0.0


class Feeder:
    """Decodes the videos of a plan into the batches ``todo`` and gives these out one after the other.

    Attributes:
        bad: Videos that turned out unusable since :meth:`begin`, with the reason.
        spent: What the workers did with their time.
        workers: Number of processes.
    """

    def __init__(self, plan: Plan, workers: int, in_flight: int, refuse: Callable[[str, str, str], None]) -> None:
        self._plan = plan
        self._refuse = refuse
        self._todo: List[int] = []
        self._missing: Dict[int, int] = {}
        self._waiting: Iterator[Decode] = iter(())
        self._running: List[Future] = []
        self._released = 0
        self.bad: Dict[str, str] = {}
        self.spent = Spent()
        self.workers = workers
        self._ring = Ring(plan.tensor, _depth(plan, workers, in_flight))
        # spawn: a fork of a process with an engine's threads can deadlock.
        with deaf_children():
            self._pool = ProcessPoolExecutor(
                workers, get_context("spawn"), initializer=begin, initargs=(self._ring.mailbox,)
            )

    @contextlib.contextmanager
    def open(self) -> Iterator[Feeder]:
        """Start the workers; afterwards none of them is left, whatever happened."""
        with self._ring:
            try:
                self._running = [self._hand_out(os.getpid) for _ in range(self.workers)]
                yield self
            except BaseException:
                kill_workers(self._pool)
                raise
            finally:
                self._ring.stop()
                self._pool.shutdown(wait=True, cancel_futures=True)

    def begin(self, plan: Plan, todo: Sequence[int]) -> None:
        """Begin to decode what the batches ``todo`` of a plan are made of; of the one before nothing is in work."""
        self._plan = plan
        self._todo = list(todo)
        self.bad = {}
        self._released = 0
        self._ring.release(0)
        self._missing = {number: self._plan.files[file].clips for number, file in enumerate(self._todo)}
        place = {file: number for number, file in enumerate(self._todo)}
        self._waiting = (
            Decode(index, video.source, places, self._plan.recipe)
            for index, video in enumerate(self._plan.videos)
            if (places := _places(video, place))
        )
        self._submit()

    def feeds(self) -> Generator[np.ndarray, None, None]:
        """Yield every batch, in order, as soon as it is whole; it stays as it is until :meth:`release`.

        At the first video that proves bad it ends: that one's slots are to be another's.

        Raises:
            RequestError: a worker died.
        """
        spec = self._plan.tensor
        for number, file in enumerate(self._todo):
            while self._missing[number] and not self.bad:
                self._listen()
            if self.bad:
                return
            batch = self._ring.batch(number)
            batch.reshape(spec.clips, -1)[self._plan.files[file].clips :] = 0
            yield batch

    def abandon(self) -> None:
        """Let the workers get rid of what they have in work, and forget it."""
        self._waiting = iter(())
        self._ring.release(_NEVER)
        for future in self._running:
            future.cancel()
        while not all(future.done() for future in self._running):
            self._listen()
        # What they have told is in the pipe when they are done.
        while told := self._ring.notes(0):
            for note in told:
                self._take(note)
        self._running = []

    def release(self) -> None:
        """Give the oldest batch that was handed out free."""
        self._released += 1
        self._ring.release(self._released)

    def _submit(self) -> None:
        for future in [future for future in self._running if future.done()]:
            self._running.remove(future)
            _result(future)
        while len(self._running) < _AHEAD * self.workers:
            task = next(self._waiting, None)
            if task is None:
                return
            try:
                self._running.append(self._hand_out(decode, task))
            except BrokenProcessPool as error:
                raise _died() from error

    def _hand_out(self, function: Callable[..., Any], *args: Any) -> Future:
        """Hand a task to the workers. That may start one, which complains at length if an interrupt cuts its start."""
        with undisturbed(), deaf_children(), without_algebra():
            return self._pool.submit(function, *args)

    def _listen(self) -> None:
        for note in self._ring.notes(_LOOK_S):
            self._take(note)
        if not self.bad:
            self._submit()

    def _take(self, note: Note) -> None:
        self.spent.decoding += note.busy_s
        self.spent.waiting += note.blocked_s
        if note.batch is not None:
            self._missing[note.batch] -= note.count
        elif note.video is not None:
            video = self._plan.videos[note.video]
            if video.entry.id not in self.bad:
                self._refuse(video.entry.id, video.source.path, note.reason)
            self.bad[video.entry.id] = note.reason


def _places(video: PlannedVideo, place: Dict[int, int]) -> tuple:
    """Return (frames, batch, slot, crop) of the clips whose batch is to be made."""
    return tuple((clip.frames, place[clip.file], clip.slot, clip.crop) for clip in video.clips if clip.file in place)


def _depth(plan: Plan, workers: int, in_flight: int) -> int:
    """Return how many batches are in memory at the same time.

    Enough for what the engine has, one that is whole and one that each worker fills, within a limit of memory. A video
    whose clips are not complete in the order of their slots must have all its batches in memory: the worker that waits
    for room has the clips that would make room.
    """
    least = in_flight + 2
    wanted = max(least, min(in_flight + 1 + workers, _RING_BYTES // plan.tensor.nbytes))
    for video in plan.videos:
        ends = [max(clip.frames) for clip in video.clips]
        if ends != sorted(ends):
            # One more where the slots move, because a video before it proves bad.
            wanted = max(wanted, least + 1 + video.clips[-1].file - video.clips[0].file)
    return wanted


def _result(future: Future) -> None:
    try:
        future.result()
    except BrokenProcessPool as error:
        let_signals_come()
        raise _died() from error


def _died() -> RequestError:
    return RequestError(
        "a worker process died (killed, or out of memory)", None, "run again to resume, with fewer --workers"
    )
