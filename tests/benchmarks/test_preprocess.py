"""The baselines of the preprocess benchmarks do the same work, on frames like those of real datasets."""

from __future__ import annotations

from pathlib import Path

import pytest

from clip2om.benchmarks.inputs import dataset, write_frames
from clip2om.benchmarks.preprocess import KINDS, disk_row, video_rows, write_videos
from clip2om.benchmarks.preprocess_baselines import plain_loop
from clip2om.benchmarks.row import Scale
from clip2om.preprocess.__main__ import main as preprocess


def test_plain_loop_writes_the_stages_per_video_files(tmp_path: Path) -> None:
    folders = write_frames(tmp_path / "frames", 2, 20)
    sizes = [path.stat().st_size for path in folders[0].iterdir()]
    assert 12_000 < sum(sizes) / len(sizes) < 17_000
    (tmp_path / "plain").mkdir()
    plain_loop([str(folder) for folder in folders], str(tmp_path / "plain"))
    data = dataset(tmp_path, folders, 2, 20)
    words = ["--model", "3d_resnet", *data.paths, "--output", str(tmp_path / "ours"), "--quiet"]
    assert preprocess([*words, "--layout", "per-video", "--workers", "1"]) == 0
    ours = sorted((tmp_path / "ours").glob("*.bin"))
    plain = sorted((tmp_path / "plain").glob("*.bin"))
    assert [path.read_bytes() for path in ours] == [path.read_bytes() for path in plain]
    assert len(ours) == 2


@pytest.mark.slow
def test_rows_of_video_files(tmp_path: Path) -> None:
    rows = video_rows(Scale(tmp_path, quick=True, rounds=1))
    assert [len(row.ours) for row in rows] == [1, 1, 1, 1]
    # A profile of the stage itself: it shows the work on frames, not a parent that waits for workers.
    for row in rows[::2]:
        assert "profile of the stage in one process: " in row.note
        assert "method 'decode' of 'av.packet.Packet' objects" in row.note
    assert not list(tmp_path.iterdir())


def test_videos_are_as_large_as_those_of_datasets(tmp_path: Path) -> None:
    for kind, (least, most) in zip(KINDS, ((1900, 5800), (1800, 3900))):
        (path,) = write_videos(tmp_path / kind.suffix, kind, 1, 94)
        assert least < path.stat().st_size / 94 < most, kind.name


def test_bytes_on_disk() -> None:
    row = disk_row()
    assert row.met
    assert round(row.baseline[0], 3) == 5.738
    assert round(row.ours[0], 1) == 36.8
