"""A stream's memory does not grow with the number of videos."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from clip2om.benchmarks.memory import peak_bytes
from tests.scripts.stream.stream_case import StreamCase


def _peak(case: StreamCase, videos: int) -> int:
    """Stream ``videos`` entries that lie in the same few folders and return the most memory that it held."""
    real = list(case.data.database)[:5]
    folders = [case.data.frames / case.data.database[name]["annotations"]["label"] / name for name in real]
    annotations = {"label": "walk", "segment": [1, 21]}
    case.data.database = {
        **{name: case.data.database[name] for name in real},
        **{
            f"again_{number}": {
                "subset": "validation",
                "annotations": annotations,
                "video_path": str(folders[number % 5]),
            }
            for number in range(videos - 5)
        },
    }
    case.data.annotate()
    return peak_bytes([sys.executable, "-m", "scripts.stream", *case.arguments("--force")])


@pytest.mark.slow
def test_peak_of_2000_videos_is_that_of_100(tmp_path: Path) -> None:
    case = StreamCase(tmp_path, videos=5)
    few = max(_peak(case, 100) for _ in range(3))  # so short a run may have its peak between two samples
    many = _peak(case, 2000)
    assert len(list((case.streamed / "scores").glob("batch_*.bin"))) == 1500
    assert many <= 1.1 * few, f"{many / 1e6:.0f} MB against {few / 1e6:.0f} MB"
    assert many < 600e6
