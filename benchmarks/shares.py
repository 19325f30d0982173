"""Where the time of a stage goes: a profile in one line, for the note of a row."""

from __future__ import annotations

import cProfile
from pathlib import Path
from types import CodeType
from typing import Any, Callable, Union


def shares(call: Callable[[], Any], most: int = 5) -> str:
    """Profile one call and name the functions that take most of its time, with their own share of it.

    Only this thread is seen, so the work must be done in it. Profiling makes a call of a Python function slower by
    about a microsecond, which is little where functions take a whole frame.

    Args:
        call: What to profile.
        most: How many functions to name, those with the largest share first.
    """
    profile = cProfile.Profile()
    profile.runcall(call)
    found = sorted(((entry.inlinetime, _name(entry.code)) for entry in profile.getstats()), reverse=True)
    total = max(sum(seconds for seconds, _ in found), 1e-9)
    return ", ".join(f"{name} {100 * seconds / total:.0f} %" for seconds, name in found[:most])


def _name(code: Union[CodeType, str]) -> str:
    if isinstance(code, str):
        return code.strip("<>")
    return f"{Path(code.co_filename).name} {code.co_name}"
