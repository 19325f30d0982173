"""Which tests an environment can run, and the last lines that say which it could not.

Each framework has an environment of its own, so the tests that need one lie in tests/export/<framework> and are
collected where that framework is installed; all others need PyTorch's environment and are run with it.
"""

from __future__ import annotations

import signal
from importlib.util import find_spec
from pathlib import Path
from typing import List, Optional

import pytest

from tests.suites import FRAMEWORKS, folder_of

HERE = Path(__file__).resolve().parent
_LEFT_OUT = pytest.StashKey[List[str]]()


def pytest_configure() -> None:
    """Hear Ctrl-C again where we run in the background of a shell: processes inherit that they are to ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> Optional[bool]:
    """Leave out the tests of frameworks that are not installed."""
    for name in FRAMEWORKS:
        if collection_path == HERE.parent / folder_of(name) and find_spec(name) is None:
            config.stash.setdefault(_LEFT_OUT, []).append(name)
            return True
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tests were left out because their framework is not installed."""
    for name in terminalreporter.config.stash.get(_LEFT_OUT, []):
        terminalreporter.write_line(f"left out here: {folder_of(name)} ({name} is not installed); make test-{name}")
