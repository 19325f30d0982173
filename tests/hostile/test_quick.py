"""The part of ``make torture`` that runs everywhere: fixed seeds, under a minute."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.fuzz import fuzz
from tests.hostile.kills import kill_and_resume, stages
from tests.hostile.readers import readers


@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_files_are_read_or_refused(seed: int, tmp_path: Path) -> None:
    found = fuzz(tmp_path, 60, seed)
    assert [line for figures in found.values() for line in figures.failures] == []


def test_good_files_are_read(tmp_path: Path) -> None:
    """A seed that is refused itself would try nothing but the first check."""
    place = tmp_path / "place"
    place.mkdir()
    for name, reader in readers(tmp_path).items():
        for seed in reader.seeds if name != "frame" else reader.seeds[:6]:
            (place / reader.file).write_bytes(seed)
            reader.read(place)


@pytest.mark.parametrize("number", range(3))
def test_a_killed_run_ends_with_the_bytes_of_an_undisturbed_one(number: int, tmp_path: Path) -> None:
    counts = kill_and_resume(stages(tmp_path)[number], 1, 3)
    assert counts.wrong == []
