"""Steps that Ctrl-C may not cut in two, and how processes are started."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import Any, Callable, Iterator, List, Optional

_ALGEBRA = "OPENBLAS_NUM_THREADS"
_INTERRUPTED = 130
# A terminal may send one Ctrl-C to several processes, which pass it on to each other; a person takes longer.
_MOMENT_S = 0.2
_OF_TERMINALS = (signal.SIGINT, signal.SIGHUP)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def undisturbed(hurry: Optional[Callable[[], None]] = None, leaving: bool = False) -> Iterator[None]:
    """Hold SIGINT, SIGTERM and SIGHUP back until the block is done; then they do what they would have done.

    Between a library's call that hands out a resource and the note that it must be given back there is a moment in
    which an interrupt would leak it. Signals only ever reach the main thread: on others nothing is held back.

    Args:
        hurry: Called at once at a second signal: who presses Ctrl-C again, a moment later, does not want to wait for
            what the block waits for.
        leaving: The block already is what follows an interrupt or an error: the first signal counts as the second.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: List[Any] = []
    begin = time.monotonic()

    def hold(*what: Any) -> None:
        nonlocal begin
        late = time.monotonic() - begin >= _MOMENT_S
        caught.append(what)
        if hurry is not None and late and (leaving or len(caught) > 1):
            hurry()
        if len(caught) == 1:
            begin = time.monotonic()

    former = {number: signal.signal(number, hold) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    if caught:
        signal.raise_signal(caught[0][0])


def let_signals_come() -> None:
    """Give a signal that has just ended another process of the group the time to reach this one too."""
    time.sleep(_MOMENT_S)


def leave_at_once() -> None:
    """End this process without another word of Python: the system takes back what it holds."""
    os.write(2, b"interrupted again: ended at once; run the same command again to resume\n")
    os._exit(_INTERRUPTED)


@contextlib.contextmanager
def deaf_children() -> Iterator[None]:
    """Start processes that Ctrl-C and a closed terminal do not reach, from their first instruction on.

    Both are their parent's to deal with: it tells them to stop, and they watch whether it is still there. (SIGTERM
    stays: multiprocessing ends processes with it.) Its tracker ignores all but a closed terminal by itself.
    """
    from multiprocessing import resource_tracker

    former = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_TERMINALS)
    try:
        resource_tracker.ensure_running()
        # Its first start has lifted a part of the block.
        signal.pthread_sigmask(signal.SIG_BLOCK, _OF_TERMINALS)
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
