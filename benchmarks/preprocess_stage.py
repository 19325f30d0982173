"""The preprocess stage: frames per second against bare decoding, bytes on disk, and memory.

python -m benchmarks.preprocess_stage
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, List

from benchmarks.preprocess_baselines import (
    decode_jpeg,
    decode_video,
    decode_with_pillow,
    shared_out,
    straightforward,
)
from benchmarks.preprocess_inputs import DataSet, frame_folders, video_files
from benchmarks.row import AT_LEAST, AT_MOST, Growth, Row, Scale, alternate, spread
from pipeline.card import ROOT, load
from pipeline.console import Console
from pipeline.errors import ShortfallError
from pipeline.facts import usable_cores
from preprocess.__main__ import main as preprocess

_JPEG, _VIDEO = "preprocess from JPEG frames", "preprocess from video files"
# HMDB51 split 1: videos and clips of its validation subset.
_HMDB51 = (1530, 9530)
_POLL = 0.02
_ABOUT = "Measure the preprocess stage against its baselines."


def rows(scale: Scale) -> List[Row]:
    """Measure every row of the stage."""
    return [*jpeg_rows(scale), *video_rows(scale), disk_row(), *memory_rows(scale)]


def jpeg_rows(scale: Scale) -> List[Row]:
    """Frames per second from JPEG frames of 320x240 pixels, against bare decoding and against a plain loop."""
    data = frame_folders(scale.work / "frames", *((4, 20) if scale.quick else (300, 94)))
    workers, output, plain = usable_cores(), scale.work / "batches", scale.work / "plain"
    plain.mkdir()
    files, folders = data.files(), sorted(str(path) for path in (data.videos / "one").iterdir())
    small, large = _stage(data, output, "uint8"), _stage(data, output, "float32")
    bare = _rate(data, lambda: shared_out(decode_jpeg, files, workers))
    pillow = _rate(data, lambda: shared_out(decode_with_pillow, files, workers))
    loop = _rate(data, lambda: shared_out(straightforward, folders, workers, str(plain)))
    small(), bare()  # the files are in memory then, and the kernels compiled
    made = [
        _row(_JPEG, "uint8, against libjpeg-turbo (simplejpeg) alone, into one buffer", small, bare, 0.75, scale),
        _row(_JPEG, "uint8, against libjpeg-turbo (Pillow) alone", small, pillow, 0.75, scale),
        _row(_JPEG, "float32, against libjpeg-turbo (simplejpeg) alone, into one buffer", large, bare, 0.75, scale),
        _row(_JPEG, "uint8 packed, against a loop of Pillow, float32, one file per video", small, loop, 4.0, scale),
    ]
    shutil.rmtree(plain)
    shutil.rmtree(output)
    return made


def video_rows(scale: Scale) -> List[Row]:
    """Frames per second from H.264 files of 320x240 pixels, against decoding them."""
    data = video_files(scale.work / "videos", *((4, 20) if scale.quick else (60, 188)))
    output, workers, files = scale.work / "batches", usable_cores(), data.files()
    ours = _stage(data, output, "uint8")
    bare = _rate(data, lambda: shared_out(decode_video, files, workers, False))
    to_rgb = _rate(data, lambda: shared_out(decode_video, files, workers, True))
    ours(), bare()
    made = [
        _row(_VIDEO, "uint8, against decoding alone, to YUV", ours, bare, 0.75, scale),
        _row(_VIDEO, "uint8, against decoding and turning into RGB", ours, to_rgb, 0.75, scale),
    ]
    shutil.rmtree(output)
    return made


def disk_row() -> Row:
    """Bytes on disk of HMDB51 split 1: a calculation, because the files are as long as their tensors."""
    videos, clips = _HMDB51
    card = load("3d_resnet")
    packed = -(-clips // 10) * card.input_spec(10, "uint8").nbytes
    recipe = videos * card.input_spec(10, "float32").nbytes
    measure = "bytes on disk of HMDB51 split 1: float32 per video against uint8 packed"
    return Row("preprocess output", measure, "GB", (recipe / 1e9,), (packed / 1e9,), 6.0, AT_LEAST)


def memory_rows(scale: Scale) -> List[Row]:
    """Peak memory of all processes of the stage, 100 and 2,000 videos."""
    few, many = (4, 12) if scale.quick else (100, 2000)
    peaks = {count: _peak(scale.work / f"memory{count}", count) for count in (few, many)}
    name = f"{many} videos against {few}"
    return [
        Row("memory", f"peak of preprocess, {name}", "MB", (peaks[many],), (peaks[few],), 1.10, AT_MOST),
        Row("memory", f"peak of preprocess, {many} videos", "MB", (peaks[many],), (), 600.0, AT_MOST),
    ]


def growth(scale: Scale) -> List[Growth]:
    """Seconds of the stage at 1, 2, 4 and 8 times as many videos."""
    unit, length = (1, 16) if scale.quick else (60, 94)
    counts, seconds = (unit, 2 * unit, 4 * unit, 8 * unit), []
    for count in counts:
        folder = scale.work / f"growth{count}"
        data = frame_folders(folder, count, length, min(6, count))
        run = _stage(data, folder / "batches", "uint8")
        run()
        seconds.append(spread([data.frames / run() for _ in range(1 if scale.quick else 3)])[0])
        shutil.rmtree(folder)
    return [Growth("preprocess", "s", counts, tuple(seconds))]


def _row(
    stage: str, measure: str, ours: Callable[[], float], baseline: Callable[[], float], target: float, scale: Scale
) -> Row:
    mine, theirs = alternate(ours, baseline, scale.rounds)
    return Row(stage, measure, "frames/s", mine, theirs, target, AT_LEAST, f"{usable_cores()} cores")


def _stage(data: DataSet, output: Path, dtype: str) -> Callable[[], float]:
    def run() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            code = preprocess([*data.args(output), "--dtype", dtype])
        if code:
            raise ShortfallError("preprocess failed", output)

    return _rate(data, run)


def _rate(data: DataSet, run: Callable[[], None]) -> Callable[[], float]:
    """Return a measurement of ``run`` in frames per second, start of its processes included."""

    def measure() -> float:
        start = time.perf_counter()
        run()
        return data.frames / (time.perf_counter() - start)

    return measure


def _peak(folder: Path, videos: int) -> float:
    """Return the largest sum of the memory of the stage's processes in MB, pages that they share counted once."""
    data = frame_folders(folder, videos, 32)
    command = [sys.executable, "-m", "preprocess", *data.args(folder / "batches"), "--dtype", "uint8"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(_proportional, _family(process.pid))))
        time.sleep(_POLL)
    shutil.rmtree(folder)
    if process.returncode:
        raise ShortfallError("preprocess failed", folder)
    return peak / 1e6


def _family(parent: int) -> List[int]:
    found = [parent]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
        except OSError:
            continue  # it has just ended
    return found


def _proportional(process: int) -> int:
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))


def main() -> int:
    """Measure and print every row."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preprocess_stage", description=_ABOUT)
    parser.add_argument("--quick", action="store_true", help="tiny inputs: shows that it runs, not how fast")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="measurements of each side (default: 7)")
    args = parser.parse_args()
    console = Console("bench")
    with tempfile.TemporaryDirectory(prefix="preprocess-bench-") as work:
        scale = Scale(Path(work), args.quick, 1 if args.quick else args.rounds)
        for row in rows(scale):
            console.result(_line(row))
        for item in growth(scale):
            cost = ", ".join(f"{cost:.2f}" for cost in item.cost)
            console.result(f"{item.stage}: {item.videos} videos, {cost} {item.unit}, exponent {item.exponent:.2f}")
    return 0


def _line(row: Row) -> str:
    sides = " and ".join(f"{spread(side)[0]:.4g}" for side in (row.ours, row.baseline) if side)
    verdict = f"{row.relation} {row.target:g}: {'met' if row.met else 'missed'}"
    return f"{row.stage}, {row.measure}: {row.figure:.3f} ({verdict}); {sides} {row.unit}"


if __name__ == "__main__":
    sys.exit(main())
