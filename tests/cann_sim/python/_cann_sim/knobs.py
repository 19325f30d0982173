"""The environment variables that steer the simulation: all begin with CANN_SIM_."""

from __future__ import annotations

import os
from typing import List

PREFIX = "CANN_SIM_"


def text(name: str, default: str = "") -> str:
    """Return CANN_SIM_<name>, ``default`` where it is unset or empty."""
    return os.environ.get(PREFIX + name) or default


def number(name: str, default: float = 0.0) -> float:
    """Return CANN_SIM_<name> as a number."""
    return float(text(name) or default)


def flag(name: str, default: bool = False) -> bool:
    """Return CANN_SIM_<name> as a switch: 0, no, false and off are False."""
    value = text(name)
    return default if not value else value.lower() not in ("0", "no", "false", "off")


def words(name: str, separator: str) -> List[str]:
    """Return the non-empty parts of CANN_SIM_<name>."""
    return [word.strip() for word in text(name).split(separator) if word.strip()]


def names(listed: str) -> List[str]:
    """Return the blank-separated names of a table written as text."""
    return listed.split()


def append_line(name: str, line: str) -> bool:
    """Append ``line`` to the file that CANN_SIM_<name> names; return whether there is one."""
    path = text(name)
    if not path:
        return False
    # One write on an O_APPEND descriptor: several processes share the file.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, (line.replace("\n", " ") + "\n").encode())
    finally:
        os.close(descriptor)
    return True


def driver_present() -> bool:
    """Return whether the simulated host has a driver (CANN_SIM_DRIVER, default yes)."""
    return flag("DRIVER", True)


def stub_libraries() -> bool:
    """Return whether a devlib (stub) directory is on LD_LIBRARY_PATH."""
    return any("devlib" in part or "stub" in part for part in os.environ.get("LD_LIBRARY_PATH", "").split(":"))


def driver_usable() -> bool:
    """Return whether this user may open the devices (CANN_SIM_PERMISSION=0: not in group HwHiAiUser)."""
    return driver_present() and flag("PERMISSION", True)
