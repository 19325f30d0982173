"""Memory does not grow with the dataset: every process of the stage, over synthetic videos."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from clip2om.benchmarks.inputs import dataset
from clip2om.benchmarks.memory import peak_bytes
from tests.preprocess.conftest import SmallSet, write_frames

_FRAMES = 24


def _peak(root: Path, folders: list, videos: int) -> int:
    root.mkdir(exist_ok=True)
    data = dataset(root, folders, videos, _FRAMES)
    words = ["--model", "3d_resnet", *SmallSet.card, *data.paths, "--output", str(root / f"out{videos}")]
    words += ["--video-path", str(folders[0].parents[1])]
    return peak_bytes([sys.executable, "-m", "preprocess", *words, "--workers", "2", "--quiet"])


@pytest.mark.slow
def test_two_thousand_videos_take_no_more_than_a_hundred(tmp_path: Path) -> None:
    folders = [tmp_path / "frames" / str(number) for number in range(5)]
    for number, folder in enumerate(folders):
        write_frames(folder, number, _FRAMES, (120, 160))
    few = max(_peak(tmp_path / str(number), folders, 100) for number in range(3))  # a short peak may escape the samples
    many = _peak(tmp_path, folders, 2000)
    assert many < 600e6
    assert many < 1.1 * few, f"{many / 1e6:.1f} MB against {few / 1e6:.1f} MB"
