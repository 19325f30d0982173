"""Running a stage as its user does: a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def stage(name: str, *args: object, cwd: Path = ROOT, **options: object) -> subprocess.CompletedProcess:
    """Run ``python -m name args`` and return the finished process with its text output."""
    command = [sys.executable, "-m", name, *[str(arg) for arg in args]]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, **options)  # type: ignore


def refused(done: subprocess.CompletedProcess, *words: str) -> str:
    """Check that a run ended with exit 2 and one error line that holds all ``words``; return the line."""
    assert done.returncode == 2, done.stdout + done.stderr
    errors = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in errors[0], errors[0]
    return errors[0]
