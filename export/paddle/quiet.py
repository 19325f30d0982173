"""Keeping what Paddle prints away from the user's terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from typing import IO, Iterator


@contextlib.contextmanager
def hushed() -> Iterator[IO[bytes]]:
    """Send everything that the block prints, from Python or from C++, into the file that is yielded."""
    with tempfile.TemporaryFile() as log:
        sys.stdout.flush()
        sys.stderr.flush()
        saved = [os.dup(number) for number in (1, 2)]
        try:
            for number in (1, 2):
                os.dup2(log.fileno(), number)
            yield log
        finally:
            # What Python still holds belongs to the block as well.
            sys.stdout.flush()
            sys.stderr.flush()
            for number, copy in zip((1, 2), saved):
                os.dup2(copy, number)
                os.close(copy)


def last_printed(log: IO[bytes]) -> str:
    """Return the last line of a log without its colours and its prefix; empty if there is none."""
    log.seek(0)
    lines = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""
