"""Files are what their door says: no other decoder, no address, no pipe, nothing outside, nothing too large."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import struct
import threading
import time
import zlib
from pathlib import Path
from typing import Iterator, List, Tuple

import pytest

import clip2om.preprocess.video_files as video_files
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import read_manifest
from clip2om.pipeline.opening import read_regular
from clip2om.preprocess.__main__ import main as preprocess
from clip2om.preprocess.containers import open_video
from clip2om.preprocess.errors import BadVideoError
from clip2om.preprocess.jpeg import FrameReader, open_picture
from tests.preprocess.conftest import SmallSet

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"


def _run(small: SmallSet, *more: object) -> int:
    return preprocess([str(word) for word in small.args("--workers", 1, *more)])


def _reasons(small: SmallSet) -> dict:
    return {item.id: item.reason for item in read_manifest(small.output).skipped}


def test_postscript_is_no_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ghostscript = tmp_path / "bin" / "gs"
    ghostscript.parent.mkdir()
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    ghostscript.chmod(ghostscript.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{ghostscript.parent}:{os.environ['PATH']}")
    with pytest.raises(BadVideoError, match="it is no image"):
        open_picture(EPS, "image_00001.jpg")
    assert not (tmp_path / "ran").exists()


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def _jpeg(width: int, height: int) -> bytes:
    """Return a JPEG of 8x8 pixels whose header says something else."""
    import io

    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG")
    data = bytearray(stream.getvalue())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize("content", [_png(12000, 12000), _jpeg(12000, 12000), _jpeg(65500, 65500)])
def test_frames_beyond_the_limit_are_refused_before_they_are_decoded(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(BadVideoError, match=r"more than 67108864 pixels|exceeds limit"):
        FrameReader(str(tmp_path)).read("a.jpg")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


KINDS = {"a named pipe": _pipe, "a socket": _socket, "a device": _device}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_refused_at_once(kind: str, small: SmallSet, tmp_path: Path) -> None:
    frame = small.frames / "walk" / "video_0" / "image_00001.jpg"
    frame.unlink()
    KINDS[kind](frame)
    assert _run(small) == 0
    assert _reasons(small)["video_0"] == f"frame image_00001.jpg is {kind}, expected a file"
    odd = tmp_path / "odd"
    KINDS[kind](odd)
    with pytest.raises(RequestError, match=f"is {kind}, expected a file"):
        read_regular(odd, 10)
    with pytest.raises(BadVideoError, match=f"is {kind}, expected a video file"), open_video(str(odd)):
        pass
    with pytest.raises(BadVideoError, match=f"is {kind}, expected a file"):
        if kind == "a socket":
            raise BadVideoError(f"is {kind}, expected a file")  # opening one fails before it can be looked at
        FrameReader(str(tmp_path)).read("odd")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", ["--annotation-path", "--model"])
def test_what_is_no_file_is_no_annotation_and_no_card(
    option: str, kind: str, small: SmallSet, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    odd = tmp_path / "odd.toml"
    KINDS[kind](odd)
    assert _run(small, option, odd) == 2
    assert capsys.readouterr().err.count("error:") == 1


@pytest.mark.parametrize("place", ["../outside", "/tmp", "walk/../../outside", "..", "."])
def test_a_video_path_stays_inside(place: str, small: SmallSet, capsys: pytest.CaptureFixture) -> None:
    small.add("outside_one", "walk").rename(small.frames.parent / "outside")
    small.database["outside_one"]["video_path"] = place
    small.annotate()
    assert _run(small) == 2
    assert "which is not below --video-path" in capsys.readouterr().err


@pytest.fixture
def listener() -> Iterator[Tuple[int, List[bytes]]]:
    """Yield the port of a server that keeps what is sent to it, and what was sent."""
    server, heard = socket.create_server(("127.0.0.1", 0)), []

    def listen() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                heard.append(connection.recv(1 << 12))

    threading.Thread(target=listen, daemon=True).start()
    yield server.getsockname()[1], heard
    server.close()


_TEXTS = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S" '
    'profiles="urn:mpeg:dash:profile:isoff-live:2011"><Period><AdaptationSet mimeType="video/mp4">'
    '<Representation id="1" bandwidth="1" width="8" height="8" codecs="avc1.42c00d">'
    '<BaseURL>{url}</BaseURL><SegmentList duration="1">'
    '<Initialization sourceURL="i.mp4"/><SegmentURL media="1.m4s"/></SegmentList></Representation></AdaptationSet>'
    "</Period></MPD>",
    "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}a.ts\n#EXT-X-ENDLIST\n",
    "ffconcat version 1.0\nfile {url}a.mp4\n",
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    '<smil><body><video src="{url}a.mp4"/></body></smil>',
    "[playlist]\nFile1={url}a.mp4\n",
)


@pytest.mark.parametrize("number", range(len(_TEXTS)))
@pytest.mark.parametrize("suffix", ["mp4", "avi", "mkv", "ts", "mpd", "m3u8"])
def test_nothing_is_fetched_by_a_text(
    number: int, suffix: str, listener: Tuple[int, List[bytes]], tmp_path: Path
) -> None:
    port, heard = listener
    path = tmp_path / f"a.{suffix}"
    path.write_text(_TEXTS[number].format(url=f"http://127.0.0.1:{port}/", port=port))
    with pytest.raises(BadVideoError), open_video(str(path)):
        pass
    assert heard == []


def test_nothing_is_fetched_by_a_name(
    listener: Tuple[int, List[bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, heard = listener
    monkeypatch.chdir(tmp_path)
    names = [f"{scheme}:/127.0.0.1:{port}/a.mp4" for scheme in ("http", "tcp", "rtmp", "ftp", "concat", "crypto")]
    for name in names:
        place = Path(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"no video")
        with pytest.raises(BadVideoError), open_video(name):
            pass
    assert heard == []


@pytest.mark.parametrize(
    "number", [errno.ENOENT, errno.EMFILE, errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOMEM, errno.ENOSPC]
)
def test_the_trouble_of_the_world_ends_the_run_and_is_tried_again(
    number: int, small: SmallSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _run(small, "--output", tmp_path / "undisturbed") == 0
    plain, calls = FrameReader.read, [0]

    def read(self: FrameReader, name: str) -> object:
        calls[0] += 1
        if calls[0] == 25:
            raise OSError(number, os.strerror(number), name)
        return plain(self, name)

    monkeypatch.setattr(FrameReader, "read", read)
    assert _run(small) == 2
    assert not (small.output / "manifest.json").exists()
    assert _run(small) == 0
    assert _bytes(small.output) == _bytes(tmp_path / "undisturbed")


def _bytes(folder: Path) -> dict:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in (".progress.jsonl", ".lock")}


def test_a_frame_that_is_away_for_a_moment_comes_back(small: SmallSet, tmp_path: Path) -> None:
    assert _run(small, "--output", tmp_path / "undisturbed") == 0
    plain = FrameReader.read
    frame = small.frames / "run" / "video_1" / "image_00007.jpg"
    away = tmp_path / "away.jpg"

    def read(self: FrameReader, name: str) -> object:
        if frame.exists():
            frame.rename(away)
        return plain(self, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FrameReader, "read", read)
        assert _run(small) == 2
    away.rename(frame)
    assert _run(small) == 0
    assert _bytes(small.output) == _bytes(tmp_path / "undisturbed")


def test_what_ffmpeg_says_of_a_damaged_file_is_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import av

    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video at all")
    for number in (errno.EIO, errno.ENOENT, errno.ENOMEM):

        def refuse(*_: object, number: int = number, **__: object) -> None:
            raise av.error.FFmpegError(number, os.strerror(number), str(path))

        monkeypatch.setattr(av, "open", refuse)
        with pytest.raises(BadVideoError, match="cannot be opened"):
            video_files.count_frames(str(path))
    path.unlink()
    with pytest.raises(FileNotFoundError):
        video_files.count_frames(str(path))


def test_altered_batches_are_made_again(small: SmallSet, capsys: pytest.CaptureFixture) -> None:
    assert _run(small) == 0
    good = _bytes(small.output)
    batch = small.output / "batch_00000.bin"
    about = batch.stat()
    batch.write_bytes(good[batch.name][::-1])
    os.utime(batch, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert _run(small, "--no-verify") == 0
    assert _bytes(small.output) != good
    assert _run(small) == 0
    assert _bytes(small.output) == good
    assert "altered" in capsys.readouterr().err


def test_a_digest_that_was_altered_in_the_journal_is_found(small: SmallSet) -> None:
    assert _run(small) == 0
    good = _bytes(small.output)
    journal = small.output / ".progress.jsonl"
    lines = journal.read_text().splitlines()
    item = json.loads(lines[1])
    item["sha256"] = item["sha256"][::-1]
    journal.write_text("\n".join([lines[0], json.dumps(item), *lines[2:]]) + "\n")
    assert _run(small) == 0
    assert _bytes(small.output) == good


def test_compiled_kernels_of_others_are_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from clip2om.preprocess import native

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    library = tmp_path / "build" / "kernels-0.so"
    library.parent.mkdir(mode=0o755)
    library.write_bytes(b"code")
    library.chmod(0o644)
    assert not native._is_ours(library)
    native._keep(library)
    assert native._is_ours(library)
    library.write_bytes(b"other")
    assert not native._is_ours(library)
    native._keep(library)
    library.chmod(0o666)
    assert not native._is_ours(library)
    library.chmod(0o644)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert not native._is_ours(library)


def test_an_endless_file_ends(tmp_path: Path) -> None:
    begin = time.monotonic()
    with open(tmp_path / "big.json", "wb") as stream:
        stream.truncate(1 << 33)
    with pytest.raises(RequestError, match="more than the"):
        read_regular(tmp_path / "big.json", 1 << 20)
    assert time.monotonic() - begin < 60
