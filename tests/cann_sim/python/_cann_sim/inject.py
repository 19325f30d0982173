"""Failures on demand: CANN_SIM_FAIL="acl.rt.malloc:3:200000;task.execute:2:507011" and the trace of calls."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import Dict, List, Optional

from _cann_sim import knobs


@dataclass(frozen=True)
class Failure:
    """The ``nth`` call (from 1; 0: every call) of a function returns ``code``, on ``device`` only if one is given."""

    nth: int
    code: int
    device: Optional[int]


class Injector:
    """Counts the calls of each function of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter = Counter()
        self._failures: Dict[str, List[Failure]] = {}
        self._traced = bool(knobs.text("TRACE"))
        for entry in knobs.words("FAIL", ";"):
            name, nth, code, *device = entry.split(":")
            failure = Failure(int(nth), int(code), int(device[0]) if device else None)
            self._failures.setdefault(name, []).append(failure)

    def due(self, name: str, device: Optional[int]) -> int:
        """Count one call of ``name`` and return the code that it shall fail with, else 0.

        ``name`` is an acl function, or a task on a stream: task.h2d, task.d2h, task.d2d, task.execute.
        """
        if self._traced:
            knobs.append_line("TRACE", name)
        failures = self._failures.get(name)
        if failures is None:
            return 0
        relevant = [failure for failure in failures if failure.device in (None, device)]
        if not relevant:
            return 0
        with self._lock:
            self._calls[name] += 1
            count = self._calls[name]
        return next((failure.code for failure in relevant if failure.nth in (0, count)), 0)
