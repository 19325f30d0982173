"""A profile names what takes the time."""

from __future__ import annotations

import re
import time

from clip2om.benchmarks.shares import shares


def _quick() -> None:
    time.sleep(0.01)


def _slow() -> None:
    for _ in range(10_000_000):
        pass


def test_the_largest_share_comes_first() -> None:
    def work() -> None:
        _quick()
        _slow()

    found = shares(work, 4)
    names = re.findall(r"([^,]+?) (\d+) %", found)
    assert len(names) == 4
    assert names[0][0].strip() == "test_shares.py _slow"
    assert "time.sleep" in found
    figures = [int(figure) for _, figure in names]
    assert figures == sorted(figures, reverse=True)
    assert figures[0] > 40
    assert sum(figures) <= 102
