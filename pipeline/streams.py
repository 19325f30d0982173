"""Standard streams that may be closed, full or left by their reader: none of that stops the work."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import List, Optional, TextIO

# The first failure of standard output that lost something a person may have wanted.
_lost: List[OSError] = []


def open_missing() -> None:
    """Open what is closed of the standard streams onto nothing.

    Otherwise the next file that is opened would take the place, and what a library prints would land in it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def write(stream: TextIO, text: str) -> None:
    """Write and flush; where nobody reads any more, or nothing can be written, what follows goes nowhere."""
    try:
        stream.write(text)
        stream.flush()
    except ValueError:  # closed within this process
        return
    except OSError as error:
        if stream is sys.stdout and error.errno != errno.EPIPE:
            _lost.append(error)
        _to_nowhere(stream)


def finish() -> Optional[str]:
    """Flush both streams at the end of a command, so that nothing is left to fail when Python ends.

    Returns:
        What became of standard output where results of this command could not be written to it, else None. A reader
        that has gone, as `| head` goes, has what it wanted.
    """
    for stream in (sys.stdout, sys.stderr):
        write(stream, "")
    if not _lost:
        return None
    error = _lost[0]
    _lost.clear()
    return f"standard output: {(error.strerror or str(error)).lower()}; what this command prints is lost"


def _to_nowhere(stream: TextIO) -> None:
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        # What is still in the buffer goes there too.
        stream.flush()
