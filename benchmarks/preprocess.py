"""Frames per second of the preprocess stage against bare decoding and a plain loop; bytes on disk."""

from __future__ import annotations

import contextlib
import functools
import io
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import numpy as np

from clip2om.benchmarks.inputs import Dataset, cores, dataset, write_frames
from clip2om.benchmarks.preprocess_baselines import (
    decode_jpeg,
    decode_video,
    decode_with_pillow,
    plain_loop,
    shared_out,
)
from clip2om.benchmarks.row import AT_LEAST, Growth, Row, Scale, in_turn
from clip2om.benchmarks.shares import shares
from clip2om.pipeline import cards
from clip2om.preprocess.__main__ import main as preprocess

_CARD = "3d_resnet"
_JPEG, _VIDEO = "preprocess from JPEG frames", "preprocess from video files"
# HMDB51 split 1: videos and clips of its validation subset, and the frames of a video on the average.
_VIDEOS, _CLIPS, _FRAMES = 1530, 9530, 94
# The start of the processes takes a twentieth of the time of so many. As float32 each writes four times the bytes.
_MEASURED, _AS_FLOAT, _ROUNDS = 400, 100, 5


@dataclass(frozen=True)
class Kind:
    """Video files like those of a dataset; ``options`` of the encoder give as many bytes per frame."""

    name: str
    codec: str
    suffix: str
    width: int
    height: int
    options: Dict[str, str]


# Of the clips that MMAction2 and PaddleVideo publish for trying out, those in H.264 of 340x256 have 2.3 to 5.8 kB per
# frame, those in MPEG-4 of 320x240 1.8 to 3.9 kB: the sizes and codings in which Kinetics and UCF101 are handed on.
KINDS = (
    Kind("H.264 340x256, as Kinetics", "libx264", "mp4", 340, 256, {"crf": "16"}),
    Kind("MPEG-4 320x240, as UCF101", "mpeg4", "avi", 320, 240, {"b": "500k"}),
)


def rows(scale: Scale) -> List[Row]:
    """Measure the stage on JPEG frames and on video files; calculate its bytes on disk."""
    return [*jpeg_rows(scale), *video_rows(scale), disk_row()]


def jpeg_rows(scale: Scale) -> List[Row]:
    """Frames per second from JPEG frames of 320x240 pixels."""
    videos, some, frames = (4, 2, 20) if scale.quick else (_MEASURED, _AS_FLOAT, _FRAMES)
    work = scale.work / "preprocess_jpeg"
    folders = write_frames(work / "frames", min(videos, 12), frames)
    data, total = dataset(work, folders, videos, frames), videos * frames
    fewer = dataset(work, folders, some, frames)
    repeated = [str(folders[number % len(folders)]) for number in range(videos)]
    files = [str(path) for folder in repeated for path in sorted(Path(folder).iterdir())]
    plain = work / "plain"
    plain.mkdir()
    stage = rate_of(total, lambda: run_stage(data, work / "uint8", "uint8"))
    bare = rate_of(total, lambda: shared_out(decode_jpeg, files, cores()))
    pillow = rate_of(total, lambda: shared_out(decode_with_pillow, files, cores()))
    loop = rate_of(total, lambda: shared_out(plain_loop, repeated, cores(), str(plain)))
    large = rate_of(some * frames, lambda: run_stage(fewer, work / "float32", "float32"))
    stage(), bare()  # the files are in memory then, and the kernels compiled
    sides = in_turn([stage, bare, pillow, loop, large], min(scale.rounds, _ROUNDS))
    ours, turbo, of_pillow, plainly, as_float = sides
    note = _note(videos, frames)
    made = [
        _row(_JPEG, "uint8 against libjpeg-turbo alone (simplejpeg, into memory that is there)", ours, turbo, note),
        _row(_JPEG, "uint8 against libjpeg-turbo alone (Pillow)", ours, of_pillow, note),
        _row(_JPEG, "float32 against libjpeg-turbo alone (simplejpeg)", as_float, turbo, _note(some, frames)),
        _row(_JPEG, "uint8 against a loop of Pillow and float32, one file per video", ours, plainly, note, 4.0),
    ]
    made[0] = _profiled(made[0], data, work / "uint8")
    shutil.rmtree(work)
    return made


def video_rows(scale: Scale) -> List[Row]:
    """Frames per second from video files, of each kind against decoding alone."""
    return [row for kind in KINDS for row in _kind_rows(scale, kind)]


def _kind_rows(scale: Scale, kind: Kind) -> List[Row]:
    videos, frames = (4, 20) if scale.quick else (_MEASURED, _FRAMES)
    work = scale.work / "preprocess_video"
    paths = write_videos(work / "videos", kind, min(videos, 12), frames)
    data, total = dataset(work, paths, videos, frames), videos * frames
    files = [str(paths[number % len(paths)]) for number in range(videos)]
    stage = rate_of(total, lambda: run_stage(data, work / "uint8", "uint8"))
    bare = rate_of(total, lambda: shared_out(decode_video, files, cores(), False))
    to_rgb = rate_of(total, lambda: shared_out(decode_video, files, cores(), True))
    stage(), bare()
    ours, yuv, rgb = in_turn([stage, bare, to_rgb], min(scale.rounds, _ROUNDS))
    size = sum(path.stat().st_size for path in paths) / (len(paths) * frames)
    note = f"{size / 1000:.1f} kB per frame, {_note(videos, frames)}"
    made = [
        _row(_VIDEO, f"{kind.name}: uint8 against decoding alone (PyAV, to YUV)", ours, yuv, note),
        _row(_VIDEO, f"{kind.name}: uint8 against decoding and turning into RGB (PyAV)", ours, rgb, note),
    ]
    made[0] = _profiled(made[0], data, work / "uint8")
    shutil.rmtree(work)
    return made


def disk_row() -> Row:
    """Bytes on disk of HMDB51 split 1: a calculation, because files are as long as their tensors."""
    card = cards.load(_CARD)
    packed = -(-_CLIPS // card.input.batch) * card.input_spec(card.input.batch, "uint8").nbytes
    recipe = _VIDEOS * card.input_spec(card.input.batch, "float32").nbytes
    what = "HMDB51 split 1, float32 per video (the recipe's) against uint8 packed"
    return Row("preprocess output", what, "GB", (recipe / 1e9,), (packed / 1e9,), 6.0, AT_LEAST, "calculated")


def growth(scale: Scale) -> List[Growth]:
    """Seconds at 1, 2, 4 and 8 times as many videos."""
    unit, frames = (1, 16) if scale.quick else (60, _FRAMES)
    work = scale.work / "preprocess_growth"
    folders = write_frames(work / "frames", min(unit, 12), frames)
    counts = tuple(unit * factor for factor in (1, 2, 4, 8))
    costs = []
    for videos in counts:
        data = dataset(work, folders, videos, frames)
        run = rate_of(1, functools.partial(run_stage, data, work / "out", "uint8"))
        costs.append(float(np.median([1 / run() for _ in range(1 if scale.quick else 3)])))
    shutil.rmtree(work)
    return [Growth("preprocess", "s", counts, tuple(costs))]


def _row(
    stage: str, what: str, ours: Tuple[float, ...], baseline: Tuple[float, ...], note: str, target: float = 0.75
) -> Row:
    return Row(stage, what, "frames/s", ours, baseline, target, AT_LEAST, note)


def _note(videos: int, frames: int) -> str:
    return f"{videos} videos of {frames} frames, {cores()} processes, their start included"


def _profiled(row: Row, data: Dataset, output: Path) -> Row:
    """Add to the note where the time of the stage goes when a single process does all of it."""
    found = shares(lambda: run_stage(data, output, "uint8", "--workers", "1"))
    return replace(row, note=f"{row.note}; profile of the stage in one process: {found}")


def run_stage(data: Dataset, output: Path, dtype: str, *more: str) -> None:
    """Run the stage over a dataset; ``more`` are further options."""
    words = ["--model", _CARD, *data.paths, "--output", str(output), "--dtype", dtype, "--force", "--quiet", *more]
    with contextlib.redirect_stdout(io.StringIO()):
        code = preprocess(words)
    if code:
        raise RuntimeError(f"preprocess {' '.join(words)}: exit code {code}")


def rate_of(frames: int, run: Callable[[], None]) -> Callable[[], float]:
    """Return what measures frames per second of a run."""

    def measure() -> float:
        start = time.perf_counter()
        run()
        return frames / (time.perf_counter() - start)

    return measure


def write_videos(root: Path, kind: Kind, count: int, frames: int) -> List[Path]:
    """Encode JPEG frames like those of the other rows."""
    import av
    from PIL import Image

    root.mkdir(parents=True)
    made = []
    for folder in write_frames(root / "frames", count, frames):
        path = root / f"{folder.name}.{kind.suffix}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(kind.codec, rate=25, options=kind.options)
            stream.width, stream.height, stream.pix_fmt = kind.width, kind.height, "yuv420p"
            for picture in sorted(folder.iterdir()):
                shown = Image.open(picture).resize((kind.width, kind.height))
                container.mux(stream.encode(av.VideoFrame.from_image(shown)))
            container.mux(stream.encode())
        made.append(path)
    shutil.rmtree(root / "frames")
    return made
