"""Code in an interpreter of its own, for what must not be imported or must not be installed."""

from __future__ import annotations

import subprocess
import sys

from tests.command import ROOT


def run_code(code: str, **options: object) -> subprocess.CompletedProcess:
    """Run ``code`` from the project's folder and return the finished process with its text output."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, **options)  # type: ignore


def without(library: str, stage: str, arguments: list) -> subprocess.CompletedProcess:
    """Run a stage where ``library`` is not installed."""
    return run_code(
        f"import sys\nsys.modules[{library!r}] = None\nfrom {stage}.__main__ import main\nsys.exit(main({arguments!r}))"
    )
