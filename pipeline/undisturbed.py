"""Steps that Ctrl-C may not cut in two, and how processes are started."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import Any, Iterator, List

_ALGEBRA = "OPENBLAS_NUM_THREADS"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Hold SIGINT, SIGTERM and SIGHUP back until the block is done; then they do what they would have done.

    Between a library's call that hands out a resource and the note that it must be given back there is a moment in
    which an interrupt would leak it. Signals only ever reach the main thread: on others nothing is held back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: List[Any] = []
    former = {number: signal.signal(number, lambda *what: caught.append(what)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    if caught:
        signal.raise_signal(caught[0][0])


@contextlib.contextmanager
def deaf_children() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach, from their first instruction on: their parent tells them to stop."""
    from multiprocessing import resource_tracker

    # Its first start would lift the block.
    resource_tracker.ensure_running()
    former = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


@contextlib.contextmanager
def without_algebra() -> Iterator[None]:
    """Start processes whose NumPy starts no threads for linear algebra, which nobody does there.

    There would be one per core in every process, and each spins for some hundredths of a second when it has started.
    """
    former = os.environ.get(_ALGEBRA)
    os.environ[_ALGEBRA] = "1"
    try:
        yield
    finally:
        if former is None:
            del os.environ[_ALGEBRA]
        else:
            os.environ[_ALGEBRA] = former
