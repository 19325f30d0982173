"""Video files as they are in the world: frames and pixels against the ffmpeg tool, and reasons for the damaged ones."""

from __future__ import annotations

from pathlib import Path
from typing import List

import numpy as np
import pytest

from clip2om.preprocess.containers import open_video
from clip2om.preprocess.errors import BadVideoError
from clip2om.preprocess.packets import PacketRule
from clip2om.preprocess.sources import Source
from clip2om.preprocess.video_files import count_frames, scan_times
from tests.odd_videos import FILES, OddVideos, damaged, needs_ffmpeg, raw_frames, read_by_tool

pytestmark = needs_ffmpeg
NO_VIDEOS = {"cover.png", "song.mp4"}
VIDEOS = sorted(FILES.keys() - NO_VIDEOS)


@pytest.fixture(scope="session")
def odd(tmp_path_factory: pytest.TempPathFactory) -> OddVideos:
    return OddVideos(tmp_path_factory.mktemp("odd"))


def _frames(path: Path, upright: bool = True) -> List[np.ndarray]:
    count = count_frames(str(path)).count
    source = Source("video", str(path), "", 1, upright)
    return [pixels.copy() for _, pixels in source.read(range(1, count + 1))]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", VIDEOS)
def test_frames_are_those_of_the_ffmpeg_tool(odd: OddVideos, name: str) -> None:
    wanted = read_by_tool(odd[name])
    found = _frames(odd[name])
    assert len(found) == len(wanted)
    np.testing.assert_array_equal(np.stack(found), wanted)
    with pytest.raises(BadVideoError, match=f"only {len(wanted)} frames decode"):
        list(Source("video", str(odd[name]), "", 1).read([len(wanted) + 1]))


def test_colours_are_those_that_went_in(odd: OddVideos) -> None:
    for name in ("plain.mp4", "bt709.mp4", "bt709_full.mp4", "bt2020.mp4"):
        difference = np.abs(np.stack(_frames(odd[name])).astype(int) - raw_frames())
        assert difference.mean() < 3, name


def test_frames_as_stored(odd: OddVideos) -> None:
    np.testing.assert_array_equal(_frames(odd["quarter.mp4"], upright=False), read_by_tool(odd["plain.mp4"]))
    assert _frames(odd["quarter.mp4"])[0].shape == (160, 120, 3)


@pytest.mark.parametrize("matrix", [(-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0), (0, -1, 1, 0)])
def test_mirrored_display_matrices(odd: OddVideos, tmp_path: Path, matrix: tuple) -> None:
    def change(data: bytes) -> bytes:
        a, b, c, d = (value * 65536 for value in matrix)
        values = b"".join(value.to_bytes(4, "big", signed=True) for value in (a, b, 0, c, d, 0, 0, 0, 1 << 30))
        at = data.index(b"tkhd") + 4 + 40
        return data[:at] + values + data[at + 36 :]

    path = damaged(odd["plain.mp4"], tmp_path / "mirrored.mp4", change)
    np.testing.assert_array_equal(np.stack(_frames(path)), read_by_tool(path))


def test_a_packet_is_taken_for_a_frame_where_that_is_proven_alone(odd: OddVideos) -> None:
    for name in VIDEOS:
        with open_video(str(odd[name])) as video:
            rule, packets = PacketRule(video.stream), 0
            for packet in video.container.demux(video.stream):
                if packet.size:
                    rule.look(packet)
                    packets += 1
        if rule.holds:
            assert packets == len(read_by_tool(odd[name])), name
        # Those that most datasets consist of are proven, or each of their videos would be decoded twice.
        assert rule.holds or name not in ("plain.mp4", "long.mp4", "text.avi", "dropped.avi", "motion.avi")
        assert not rule.holds or name not in ("cut.mp4", "cut_b.avi", "vp8_altref.webm", "cut_open.mkv")


def test_times_are_the_frames_own(odd: OddVideos) -> None:
    times = scan_times(str(odd["rate.mp4"])).times
    assert times is not None
    assert times.span(1, 16) == pytest.approx((0, 0.64))
    assert times.span(21, 24) == pytest.approx((0.8, 1.28))
    shifted = scan_times(str(odd["x.ts"])).times
    assert shifted is not None
    assert shifted.span(1, 40) == pytest.approx((0, 1.6), abs=0.01)


@pytest.mark.parametrize("name", ["song.mp4"])
def test_a_cover_is_no_video(odd: OddVideos, name: str) -> None:
    with pytest.raises(BadVideoError, match="no video stream, only a cover"):
        count_frames(str(odd[name]))


def test_of_two_streams_one_is_taken_with_a_word(odd: OddVideos) -> None:
    assert count_frames(str(odd["two.avi"])).note == "holds 2 video streams, number 1 of 160x120 is taken"


@pytest.mark.parametrize("name", ["b_frames.mp4", "text.avi", "vp8_altref.webm", "cut_open.mkv", "x.ogv", "x.wmv"])
def test_a_file_that_is_cut_off_is_told(odd: OddVideos, tmp_path: Path, name: str) -> None:
    path = odd[name]
    if name.endswith(".mp4"):
        path = damaged(path, tmp_path / "whole.mp4", _index_first)
    for share in (0.5, 0.7, 0.9):
        cut = damaged(path, tmp_path / name, lambda data, share=share: data[: int(len(data) * share)])  # type: ignore
        with pytest.raises(BadVideoError, match=r"cut off|cannot be"):
            count_frames(str(cut))


def _index_first(data: bytes) -> bytes:
    """Return an MP4 file whose index stands at the end with it at the beginning, as for downloads."""
    at = data.index(b"moov") - 4
    index, shift = bytearray(data[at:]), len(data) - at
    table = index.index(b"stco") + 4 + 4
    for entry in range(int.from_bytes(index[table : table + 4], "big")):
        place = table + 4 + 4 * entry
        offset = int.from_bytes(index[place : place + 4], "big") + shift
        index[place : place + 4] = offset.to_bytes(4, "big")
    size = int.from_bytes(data[:4], "big")
    return data[:size] + bytes(index) + data[size:at]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be opened"),
        (b"ffconcat version 1.0\nfile 'plain.mp4'\n", "cannot be opened"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n", "cannot be opened"),
    ],
)
def test_files_that_are_no_videos(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "x.mp4").write_bytes(content)
    with pytest.raises(BadVideoError, match=words):
        count_frames(str(tmp_path / "x.mp4"))


def test_a_codec_that_nobody_knows_is_the_files_reason(odd: OddVideos, tmp_path: Path) -> None:
    path = damaged(odd["plain.mp4"], tmp_path / "x.mp4", lambda data: data.replace(b"avc1", b"zzzz"))
    with pytest.raises(BadVideoError, match=r"cannot be (decoded|opened)"):
        count_frames(str(path))


def test_a_name_that_looks_like_an_address(odd: OddVideos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("12:30 run.mp4", "http:x.mp4"):
        damaged(odd["plain.mp4"], tmp_path / name, bytes)
        assert count_frames(name).count == 40
