"""Videos as they are in the world, made by the ffmpeg tool of 40 raw frames, and what that tool reads in them.

Where the tool is not installed the tests that need it say so and are left out.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Callable, Dict, List, Union

import numpy as np
import pytest

FFMPEG = shutil.which("ffmpeg")
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="the ffmpeg tool is not installed: apt-get install ffmpeg")
FRAMES, WIDTH, HEIGHT = 40, 160, 120
_RAW = f"-f rawvideo -pix_fmt rgb24 -s {WIDTH}x{HEIGHT} -r 25 -i {{raw}}"
_X264 = "-c:v libx264 -qp 8 -pix_fmt yuv420p"

# What makes each file, as arguments of the tool; {raw} are the frames, {name} names a file that was made before it.
FILES: Dict[str, str] = {
    "plain.mp4": f"{_RAW} {_X264}",
    "text.avi": "-i {plain.mp4} -c:v mpeg4 -metadata title=caf\udce9",
    "vp8_altref.webm": f"{_RAW} -c:v libvpx -b:v 300k -auto-alt-ref 1 -lag-in-frames 16 -arnr-maxframes 7 -pass 2 "
    "-passlogfile {log}",
    "vp9.webm": f"{_RAW} -c:v libvpx-vp9 -cpu-used 8 -b:v 200k",
    "long.mp4": f"{_RAW} -c:v libx264 -g 250 -bf 2 -qp 8 -pix_fmt yuv420p",
    "cut.mp4": "-ss 0.6 -i {long.mp4} -c copy",
    "cut_open.mkv": "-ss 0.5 -i {open.mp4} -c copy",
    "open.mp4": f"{_RAW} -c:v libx264 -x264-params open-gop=1:keyint=12:bframes=3:scenecut=0 -qp 8 -pix_fmt yuv420p",
    "cut_b.avi": "-ss 0.5 -i {b_frames.mp4} -c copy",
    "b_frames.mp4": f"{_RAW} -c:v mpeg4 -bf 2 -g 12 -q:v 3",
    "dropped.avi": f"{_RAW} -vf select='not(between(n\\,10\\,12))' -vsync passthrough -c:v mpeg4 -q:v 1",
    "rate.mp4": f"{_RAW} -vf setpts='if(lt(N\\,20)\\,N*0.04\\,0.8+(N-20)*0.12)/TB' -vsync vfr {_X264}",
    "rate.avi": "-i {rate.mp4} -c copy",
    "fragments.mp4": "-i {plain.mp4} -c copy -movflags empty_moov+frag_keyframe",
    "quarter.mp4": "-i {plain.mp4} -c copy -metadata:s:v:0 rotate=90",
    "half.mp4": "-i {plain.mp4} -c copy -metadata:s:v:0 rotate=180",
    "wide_pixels.mp4": f"{_RAW} -vf setsar=4/3 {_X264}",
    "bt709.mp4": f"{_RAW} -vf scale=out_color_matrix=bt709:out_range=tv {_X264} -colorspace bt709 -color_range tv",
    "bt709_full.mp4": f"{_RAW} -vf scale=out_color_matrix=bt709:out_range=pc -c:v libx264 -qp 4 -pix_fmt yuvj444p "
    "-colorspace bt709 -color_range pc",
    "bt2020.mp4": f"{_RAW} -vf scale=out_color_matrix=bt2020ncl {_X264} -colorspace bt2020nc",
    "ten_bits.mkv": f"{_RAW} -vf scale=out_color_matrix=bt709 -c:v libx264 -qp 8 -pix_fmt yuv420p10le "
    "-colorspace bt709",
    "odd_height.avi": f"{_RAW} -vf scale=122:81 -c:v mpeg4 -q:v 2",
    "odd.mkv": f"{_RAW} -vf scale=121:81 -c:v ffv1 -pix_fmt yuv420p",
    "grey16.mkv": f"{_RAW} -c:v ffv1 -pix_fmt gray16le",
    "alpha.mkv": f"{_RAW} -c:v ffv1 -pix_fmt yuva420p",
    "quarter_chroma.mkv": f"{_RAW} -c:v ffv1 -pix_fmt yuv411p",
    "interlaced.mpg": f"{_RAW} -c:v mpeg2video -q:v 2 -flags +ildct+ilme",
    "palette.gif": f"{_RAW} -frames:v 8",
    "motion.avi": f"{_RAW} -c:v mjpeg -q:v 2 -pix_fmt yuvj422p",
    "x.wmv": f"{_RAW}",
    "x.flv": f"{_RAW}",
    "x.ts": f"{_RAW}",
    "x.mpeg": f"{_RAW}",
    "x.3gp": f"{_RAW} -c:v h263 -s 176x144",
    "x.ogv": f"{_RAW} -c:v libtheora",
    "covered.mp4": "-i {plain.mp4} -i {cover.png} -map 1 -map 0 -c copy -disposition:v:0 attached_pic",
    "song.mp4": "-f lavfi -i sine=d=1 -i {cover.png} -map 0 -map 1 -c:a aac -c:v copy -disposition:v:0 attached_pic",
    "cover.png": "-f lavfi -i testsrc=s=96x96 -frames:v 1",
    "two.avi": f"-f lavfi -i testsrc=s=80x60:d=1 {_RAW} -map 0 -map 1 -c:v mpeg4",
    "two.mp4": f"-f lavfi -i testsrc=s=80x60:d=1 {_RAW} -map 0 -map 1 -c:v mpeg4",
}


@lru_cache(maxsize=1)
def raw_frames() -> np.ndarray:
    """Return uint8 (40, 120, 160, 3): four colours, the number of the frame in binary, a moving square."""
    frames = np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    frames[:, :60, :80], frames[:, :60, 80:] = (200, 30, 40), (40, 190, 50)
    frames[:, 60:, :80], frames[:, 60:, 80:] = (40, 60, 210), (220, 210, 60)
    for number, frame in enumerate(frames):
        for bit in range(8):
            frame[50:70, 4 + bit * 19 : 21 + bit * 19] = 255 * (number >> bit & 1)
        frame[20:36, number * 3 % 140 : number * 3 % 140 + 16] = 250
    return frames


class OddVideos:
    """Makes the files of :data:`FILES` in a folder, each when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, name: str) -> Path:
        path = self._folder / name
        if not path.exists():
            if "passlogfile" in FILES[name]:
                first = FILES[name].replace("-pass 2", "-pass 1")
                _run([*self._words(first), "-f", "null", "-"])
            _run([*self._words(FILES[name]), str(path)])
        return path

    def _words(self, arguments: str) -> List[str]:
        raw = self._folder / "raw.rgb"
        if not raw.exists():
            raw.write_bytes(raw_frames().tobytes())
        words = [
            word.replace("{raw}", str(raw)).replace("{log}", str(self._folder / "log")) for word in arguments.split(" ")
        ]
        return [str(self[word[1:-1]]) if word.startswith("{") else word.replace("'", "") for word in words]


def read_by_tool(path: Path, *more: str) -> np.ndarray:
    """Return what the tool reads, uint8 (frames, height, width, 3): every decoded frame once, upright."""
    words = [
        "-i",
        str(path),
        "-vsync",
        "passthrough",
        *more,
        "-pix_fmt",
        "rgb24",
        "-c:v",
        "ppm",
        "-f",
        "image2pipe",
        "-",
    ]
    data, frames = _run(words), []
    while data:
        _, size, _, data = data.split(b"\n", 3)
        width, height = map(int, size.split())
        frames.append(np.frombuffer(data, np.uint8, 3 * width * height).reshape(height, width, 3))
        data = data[3 * width * height :]
    return np.stack(frames) if frames else np.empty((0, 0, 0, 3), np.uint8)


def damaged(path: Path, target: Path, change: Callable[[bytes], bytes]) -> Path:
    """Write what ``change`` makes of a file's bytes, and return where."""
    target.write_bytes(change(path.read_bytes()))
    return target


def _run(words: List[Union[str, bytes]]) -> bytes:
    done = subprocess.run([str(FFMPEG), "-y", "-loglevel", "error", *words], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return done.stdout
