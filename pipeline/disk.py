"""Room on the disks."""

from __future__ import annotations

import shutil
from pathlib import Path


def free(path: Path) -> int:
    """Return the free bytes of the file system in which ``path`` is, or will be.

    Raises:
        OSError: the file system does not answer.
    """
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free
