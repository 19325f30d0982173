"""The baselines of the preprocess benchmarks do the same work, on frames like those of real datasets."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.preprocess_baselines import straightforward
from benchmarks.preprocess_inputs import frame_folders, video_files
from benchmarks.preprocess_stage import disk_row, memory_rows, rows
from benchmarks.row import Scale
from preprocess.__main__ import main as preprocess


def test_plain_loop_writes_the_stages_per_video_files(tmp_path: Path) -> None:
    data = frame_folders(tmp_path / "data", 3, 20, 2)
    assert data.frames == 60
    sizes = [path.stat().st_size for path in (data.videos / "one" / "video_00000").iterdir()]
    assert 12_000 < sum(sizes) / len(sizes) < 17_000
    (tmp_path / "plain").mkdir()
    straightforward(sorted(str(path) for path in (data.videos / "one").iterdir()), str(tmp_path / "plain"))
    assert preprocess([*data.args(tmp_path / "ours"), "--layout", "per-video", "--workers", "1"]) == 0
    names = sorted(path.name for path in (tmp_path / "plain").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "ours").glob("*.bin"))
    for name in names:
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "ours" / name).read_bytes()


def test_videos_can_be_preprocessed(tmp_path: Path) -> None:
    data = video_files(tmp_path / "data", 2, 18, 1)
    assert preprocess([*data.args(tmp_path / "ours"), "--dtype", "uint8", "--workers", "1"]) == 0


def test_bytes_on_disk() -> None:
    row = disk_row()
    assert row.met
    assert round(row.baseline[0], 3) == 5.738
    assert round(row.ours[0], 1) == 36.8


@pytest.mark.slow
def test_every_row_can_be_measured(tmp_path: Path) -> None:
    assert {row.stage for row in rows(Scale(tmp_path, quick=True, rounds=1))} == {
        "preprocess from JPEG frames",
        "preprocess from video files",
        "preprocess output",
        "memory",
    }


@pytest.mark.slow
def test_memory_of_two_thousand_videos_is_that_of_a_hundred(tmp_path: Path) -> None:
    for row in memory_rows(Scale(tmp_path)):
        assert row.met, f"{row.measure}: {row.figure:.3f}, {row.ours} {row.baseline}"
