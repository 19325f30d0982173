"""Which tests an environment can run, and the last lines that say which it could not.

Each framework has an environment of its own, so the tests that need one lie in tests/export/<framework> and are
collected where that framework is installed; all others need PyTorch's environment and are run with it.
"""

from __future__ import annotations

import signal
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Dict, List, Optional

import pytest

from tests.suites import FRAMEWORKS, folder_of

HERE = Path(__file__).resolve().parent


def pytest_configure() -> None:
    """Start processes that hear signals, also where we were told not to (nohup, or the background of a shell).

    A process inherits what is ignored, but not a handler.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_ignore_collect(collection_path: Path) -> Optional[bool]:
    """Leave out the tests of frameworks that are not installed."""
    return True if collection_path in _left_out() else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """Start with the files of the most slow tests, then with those of the most tests.

    A process takes a whole file: a long one that begins last runs alone while the other processes wait. xdist's own
    order (``--no-loadscope-reorder`` leaves ours) knows the number of a file's tests alone.
    """
    tests = Counter(item.path for item in items)
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: (-slow[item.path], -tests[item.path]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which of the tests that were asked for are left out because their framework is not installed."""
    asked = {Path(word.split("::")[0]).resolve() for word in terminalreporter.config.args}
    for folder, name in _left_out().items():
        if asked.intersection((folder, *folder.parents)):
            terminalreporter.write_line(f"left out here: {folder_of(name)} ({name} is not installed); make test-{name}")


def _left_out() -> Dict[Path, str]:
    return {HERE.parent / folder_of(name): name for name in FRAMEWORKS if find_spec(name) is None}
