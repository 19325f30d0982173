"""Streams: each a queue with a worker thread of its own; and events, which order them."""

from __future__ import annotations

import queue
import threading
import time
from typing import Optional, Tuple

from _cann_sim import errors
from _cann_sim.errors import AclError
from _cann_sim.race import Clock, Ledger, Task, merge
from _cann_sim.violation import ContractViolation

# Event flags [D]: SYNC may be waited for by streams, TIME_LINE has a timestamp. create_event() has both [I].
EVENT_SYNC = 1
EVENT_TIME = 8


class Stream:
    """One stream of a context; tasks run in order, on a daemon thread that starts with the first of them."""

    def __init__(self, context: int, device: int, ledger: Ledger, lock: threading.RLock) -> None:
        self.handle = 0
        self.context = context
        self.device = device
        self.error = 0
        self.error_text = ""
        self.violation: Optional[ContractViolation] = None
        self.submitted = 0
        self.ended = 0.0
        self._clock: Clock = {}
        self._ledger = ledger
        self._lock = lock
        self._completed = 0
        self._changed = threading.Condition()
        self._tasks: queue.SimpleQueue = queue.SimpleQueue()
        self._worker: Optional[threading.Thread] = None

    @property
    def clock(self) -> Clock:
        """What is complete once everything submitted so far is."""
        return self._clock

    @property
    def idle(self) -> bool:
        """Whether the host knows that every task of the stream is complete."""
        return self._ledger.host.get(self.handle, 0) >= self.submitted

    def submit(self, task: Task) -> None:
        """Queue ``task``.

        Raises:
            ContractViolation: it races with a task in flight.
        """
        with self._lock:
            task.stream, task.seq = self.handle, self.submitted + 1
            task.clock = dict(self._clock)
            merge(task.clock, self._ledger.host)
            task.clock[self.handle] = task.seq
            self._ledger.begin(task)
            self.submitted = task.seq
            self._clock = task.clock
            task.submitted = time.perf_counter()
            if self._worker is None:
                self._worker = threading.Thread(target=self._run, name="cann_sim stream", daemon=True)
                self._worker.start()
            self._tasks.put(task)

    def learn(self, clock: Clock) -> None:
        """Order everything submitted from now on after ``clock``."""
        with self._lock:
            self._clock = dict(self._clock)
            merge(self._clock, clock)

    def _run(self) -> None:
        while True:
            task = self._tasks.get()
            if task is None:
                return
            if not self.error or task.always:
                self._perform(task)
            with self._changed:
                self._completed = task.seq
                self._changed.notify_all()

    def _perform(self, task: Task) -> None:
        try:
            self.ended = task.work(max(task.submitted, self.ended))
        except AclError as error:
            self.error, self.error_text = error.code, error.text
        except ContractViolation as found:
            self.error, self.violation = errors.MODEL_EXECUTE, found
        except Exception as error:  # a fault of the model or of the simulator: seen as a failed task
            self.error = errors.MODEL_EXECUTE
            self.violation = ContractViolation(f"{task.name} failed in the simulator: {error!r}")

    def wait(self, seq: int, seconds: Optional[float] = None) -> bool:
        """Block until task number ``seq`` is complete; False after ``seconds``."""
        with self._changed:
            return self._changed.wait_for(lambda: self._completed >= seq, seconds)

    def reached(self, seq: int) -> bool:
        """Return whether task number ``seq`` is complete."""
        return self._completed >= seq

    def raise_failure(self) -> None:
        """Raise what a task of this stream failed with [D: async errors surface at synchronisation]."""
        if self.violation is not None:
            found, self.violation = self.violation, None
            raise found
        if self.error:
            text = self.error_text or f"EZ9999: a task of stream {self.handle:#x} failed with {self.error}"
            raise AclError(self.error, text)

    def stop(self) -> None:
        """End the worker once its queue is empty."""
        if self._worker is not None:
            self._tasks.put(None)
            self._worker.join()
            self._worker = None


class Event:
    """A point in streams that the host and other streams can wait for.

    One with the SYNC flag is a level, not a number [S]: a record sets it, a reset *task* clears it in the order of the
    stream, and nothing else does, so an event that nobody reset stays set. ``fresh`` ones (create_event) take a new
    place per record instead [S], so that a wait is for the latest record.

    Attributes:
        records: Records submitted since the latest reset.
        cleared: Stream and number of the latest reset task, None before the first.
    """

    def __init__(self, device: int, flag: int, fresh: bool) -> None:
        self.handle = 0
        self.device = device
        self.flag = flag
        self.fresh = fresh
        self.stream: Optional[Stream] = None
        self.seq = 0
        self.clock: Clock = {}
        self.records = 0
        self.cleared: Optional[Tuple[int, int]] = None
        self._set = False
        self._changed = threading.Condition()
        self._stamp = 0.0

    def recorder(self, begin: float) -> float:
        """Be the work of a record: set the flag, note the time."""
        with self._changed:
            self._stamp, self._set = begin, True
            self._changed.notify_all()
        return begin

    def clearer(self, begin: float) -> float:
        """Be the work of a reset."""
        with self._changed:
            self._set = False
        return begin

    def waiter(self, begin: float) -> float:
        """Be the work of a wait: until the flag is set, which it may be since long ago."""
        with self._changed:
            self._changed.wait_for(lambda: self._set)
            return max(begin, self._stamp)

    def recorded(self, stream: Stream) -> None:
        """Note that a record was submitted to ``stream`` as its latest task."""
        self.stream, self.seq, self.clock = stream, stream.submitted, dict(stream.clock)
        self.records += 1

    def reset(self, stream: Stream) -> None:
        """Note that a reset was submitted to ``stream`` as its latest task."""
        self.records, self.cleared = 0, (stream.handle, stream.submitted)

    @property
    def complete(self) -> bool:
        """Whether the record was reached (an event never recorded counts as complete [I])."""
        return self.stream is None or self.stream.reached(self.seq)

    @property
    def stamp(self) -> float:
        """When the latest record was reached, perf_counter seconds."""
        return self._stamp
