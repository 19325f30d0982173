"""ATC as a process: a group of its own, which ends with us."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Iterator, List, NoReturn, Optional

from clip2om.pipeline.undisturbed import undisturbed

_GRACE_S = 2.0


def run_atc(command: List[str], folder: Path, log: Path) -> int:
    """Run ``command`` in ``folder``, with stdout and stderr in ``log``, and return its exit code.

    ATC is a shell script that starts atc.bin, which starts compile workers: Ctrl-C, SIGTERM and SIGHUP end the whole
    group. There is no time limit: large networks take an hour.

    Raises:
        OSError: the program cannot be started.
        KeyboardInterrupt: one of the signals came.
    """
    with open(log, "wb") as stream, _hangup_interrupts():
        process: Optional[subprocess.Popen] = None
        try:
            # A signal while the process is being started would leave nobody to end it.
            with undisturbed():
                process = subprocess.Popen(
                    command, cwd=folder, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
                )
            return process.wait()
        except BaseException:
            if process is not None:
                _end_group(process)
            raise


def _end_group(process: subprocess.Popen) -> None:
    """Ask the group to end, then make it: a worker may outlive the script that started it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def _hangup_interrupts() -> Iterator[None]:
    """Treat a closed terminal as Ctrl-C, because ATC's own session does not hear of it; nohup stays in force."""
    former = signal.getsignal(signal.SIGHUP)
    if former is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, former)


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
