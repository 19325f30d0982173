"""Frames extracted of videos as they are in the world, against the ffmpeg tool and the frames they were made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import List

import numpy as np
import pytest
from PIL import Image

from tests.command import stage
from tests.odd_videos import OddVideos, damaged, needs_ffmpeg, raw_frames, read_by_tool

pytestmark = needs_ffmpeg
LOSSY = ("--size", "original", "--quality", "100")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> OddVideos:
    return OddVideos(tmp_path_factory.mktemp("odd"))


def _extract(folder: Path, *options: object) -> str:
    done = stage("scripts.extract_frames", folder / "videos", folder / "jpg", *options)
    assert done.returncode == 0, done.stderr
    return done.stderr


def _frames(folder: Path) -> List[np.ndarray]:
    return [np.asarray(Image.open(path)).astype(int) for path in sorted(folder.glob("*.jpg"))]


def test_every_frame_once_upright_and_in_its_colours(odd: OddVideos, tmp_path: Path) -> None:
    names = ("text.avi", "cut.mp4", "quarter.mp4", "bt709.mp4", "dropped.avi", "vp8_altref.webm", "covered.mp4")
    (tmp_path / "videos" / "a").mkdir(parents=True)
    for name in names:
        damaged(odd[name], tmp_path / "videos" / "a" / name, bytes)
    damaged(odd["plain.mp4"], tmp_path / "videos" / "a" / "caf\udce9.MP4", bytes)
    damaged(odd["plain.mp4"], tmp_path / "videos" / "a" / "none.mp4", lambda data: data.replace(b"avc1", b"zzzz"))
    (tmp_path / "videos" / "a" / "notes.docx").write_text("no video")
    said = _extract(tmp_path, *LOSSY)
    assert "skipped" in said and "none.mp4: cannot be" in said and "a/notes.docx" in said
    for name in names:
        found, wanted = _frames(tmp_path / "jpg" / "a" / Path(name).stem), read_by_tool(odd[name])
        assert len(found) == len(wanted), name
        assert np.abs(np.stack(found) - wanted).mean() < 2.5, name
    assert len(_frames(tmp_path / "jpg" / "a" / "caf%E9")) == 40
    assert json.loads((tmp_path / "jpg" / "a" / "cut" / ".frames.json").read_text())["versions"]["PyAV"]


def test_the_ffmpeg_tools_encoder_gets_jpegs_own_colours(odd: OddVideos, tmp_path: Path) -> None:
    (tmp_path / "videos" / "a").mkdir(parents=True)
    damaged(odd["bt709.mp4"], tmp_path / "videos" / "a" / "x.mp4", bytes)
    _extract(tmp_path, "--size", "original")
    found = np.stack(_frames(tmp_path / "jpg" / "a" / "x"))[:3]
    assert np.abs(found - raw_frames()[:3]).mean() < 5


def test_rate_counts_from_the_start(odd: OddVideos, tmp_path: Path) -> None:
    (tmp_path / "videos" / "a").mkdir(parents=True)
    for name in ("x.ts", "rate.mp4"):
        damaged(odd[name], tmp_path / "videos" / "a" / name, bytes)
    _extract(tmp_path, *LOSSY, "--fps", 5, "--fps-by", "dropping")
    for name in ("x.ts", "rate.mp4"):
        found, wanted = _frames(tmp_path / "jpg" / "a" / Path(name).stem), read_by_tool(odd[name], "-vf", "fps=5")
        assert len(found) == len(wanted), name
        assert np.abs(np.stack(found) - wanted).mean() < 2.5, name
