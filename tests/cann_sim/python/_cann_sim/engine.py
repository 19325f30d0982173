"""The engines of a device: one copy engine per direction and one compute engine, each doing one thing at a time."""

from __future__ import annotations

import ctypes
import threading
import time
from typing import Callable

from _cann_sim import knobs

# PyDLL functions keep the GIL: the way synchronous pyACL calls block the whole process [S].
_LIBC = ctypes.PyDLL(None)
_LONGEST = 500_000


class Engine:
    """A unit whose every job takes at least ``seconds``; jobs of all streams follow each other."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._reserving = threading.Lock()
        self._working = threading.Lock()
        self._free_at = 0.0

    def run(self, work: Callable[[], None], not_before: float, hold_gil: bool = False) -> float:
        """Do ``work`` and return when it ended (perf_counter seconds), after waiting until then.

        The job starts at ``not_before`` or when the engine is free. Times are planned rather than measured, so
        that Python's own delays between two jobs do not add up to a slower device.
        """
        with self._reserving:
            end = max(not_before, self._free_at) + self._seconds
            self._free_at = end
        with self._working:
            work()
            done = time.perf_counter()
        if self._seconds == 0.0:
            return done
        (_sleep_with_gil if hold_gil else _sleep)(end)
        return max(end, done)


def _sleep(until: float) -> None:
    rest = until - time.perf_counter()
    if rest > 0:
        time.sleep(rest)


def _sleep_with_gil(until: float) -> None:
    while (rest := until - time.perf_counter()) > 0:
        _LIBC.usleep(ctypes.c_uint(min(int(rest * 1e6) + 1, _LONGEST)))


class Engines:
    """The three engines of one device, with the times of CANN_SIM_H2D_MS, _COMPUTE_MS and _D2H_MS (milliseconds)."""

    def __init__(self) -> None:
        self.h2d = Engine(knobs.number("H2D_MS") / 1e3)
        self.compute = Engine(knobs.number("COMPUTE_MS") / 1e3)
        self.d2h = Engine(knobs.number("D2H_MS") / 1e3)
        self.d2d = Engine(0.0)
