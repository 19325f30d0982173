"""Facts of this host that belong into a record: processor, memory, Python, library versions."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, Iterable


def versions(distributions: Iterable[str]) -> Dict[str, str]:
    """Return the versions of the installed distributions among ``distributions``, without importing them."""
    found = {}
    for name in distributions:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def host() -> Dict[str, Any]:
    """Return processor, usable cores, memory in bytes, system and Python version."""
    return {
        "cpu": _cpu(),
        "cores": usable_cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


def usable_cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0))


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
