"""Which accesses are ordered before which: vector clocks over streams, and the accesses still in flight.

Every task of a stream has a number. A clock maps a stream to the last of its tasks that is known to be complete.
Streams learn of each other through events, the host through the synchronize functions. Two accesses to the same
bytes or handle, one of them a write, that no clock orders are a race, whatever the timing of this run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional

from _cann_sim.violation import violate

Clock = Dict[int, int]


def merge(into: Clock, other: Clock) -> None:
    """Raise every entry of ``into`` to that of ``other``."""
    for stream, seq in other.items():
        if into.get(stream, 0) < seq:
            into[stream] = seq


@dataclass(eq=False)
class Access:
    """One use of the addresses ``low`` to ``high`` (a handle: one address) by a task.

    Attributes:
        alone: No access by another stream may be in flight, ordered or not.
    """

    low: int
    high: int
    write: bool
    what: str
    alone: bool = False
    stream: int = 0
    seq: int = 0

    def hits(self, other: Access) -> bool:
        """Return whether both touch an address that one of them writes."""
        return self.low < other.high and other.low < self.high and (self.write or other.write)


@dataclass(eq=False)
class Task:
    """One unit of work of a stream.

    Attributes:
        work: Does it; takes when it may begin and returns when it ended (perf_counter seconds).
        finish: What the host sees of it once it has synchronised, or None.
        always: Done even after an earlier task of the stream failed (events).
    """

    name: str
    work: Callable[[float], float]
    accesses: List[Access] = field(default_factory=list)
    finish: Optional[Callable[[], None]] = None
    always: bool = False
    stream: int = 0
    seq: int = 0
    clock: Clock = field(default_factory=dict)
    submitted: float = 0.0


class Ledger:
    """What the host knows to be complete, and what may still be running."""

    def __init__(self) -> None:
        self.host: Clock = {}
        self._accesses: List[Access] = []
        self._unseen: List[Task] = []

    def begin(self, task: Task) -> None:
        """Note a submitted task; refuse it where it races with one in flight."""
        for access in task.accesses:
            access.stream, access.seq = task.stream, task.seq
            self._check_order(access, task)
        self._accesses += task.accesses
        if task.finish is not None:
            self._unseen.append(task)

    def _check_order(self, access: Access, task: Task) -> None:
        for other in self._accesses:
            if not access.hits(other):
                continue
            ordered = task.clock.get(other.stream, 0) >= other.seq
            if not ordered or (access.alone and other.stream != access.stream):
                raise violate(
                    f"{access.what} on stream {access.stream:#x} is not synchronised with "
                    f"{other.what} on stream {other.stream:#x}"
                )

    def check_host(self, low: int, size: int, write: bool, what: str) -> None:
        """Refuse a use by the host of something that an unfinished task uses.

        Raises:
            ContractViolation: a task that the host has not synchronised with reads or writes it.
        """
        mine = Access(low, low + max(size, 1), write, what)
        for other in self._accesses:
            if mine.hits(other):
                raise violate(f"{what}, while {other.what} on stream {other.stream:#x} has not been synchronised")

    def busy(self, low: int, size: int) -> bool:
        """Return whether a task in flight uses the range."""
        return any(low < other.high and other.low < low + size for other in self._accesses)

    def settle(self, clock: Clock) -> None:
        """Let the host know of everything that ``clock`` covers, and show it the results."""
        merge(self.host, clock)
        self._accesses = [entry for entry in self._accesses if entry.seq > self.host.get(entry.stream, 0)]
        seen = [task for task in self._unseen if task.seq <= self.host.get(task.stream, 0)]
        self._unseen = [task for task in self._unseen if task.seq > self.host.get(task.stream, 0)]
        for task in seen:
            if task.finish is not None:
                task.finish()
