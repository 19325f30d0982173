"""Peak memory of a command and of everything that it starts, and whether it grows with the number of videos."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from clip2om.benchmarks.inputs import Dataset, compiled, dataset, stage, write_frames
from clip2om.benchmarks.row import AT_MOST, Row, Scale
from clip2om.pipeline.places import ROOT

_MB = 1e6
_EVERY_S = 0.02
_FEW, _MANY = 100, 2000
_FRAMES = 32
_LIMIT_MB, _GROWTH = 600.0, 1.1
_HOW = "memory of all processes, the files that they map as in the one that maps most; every 20 ms, measured once"


def rows(scale: Scale) -> List[Row]:
    """Compare the peaks of preprocess and of streaming at few and at many videos, measured once each."""
    few, many = (4, 12) if scale.quick else (_FEW, _MANY)
    work = scale.work / "memory"
    folders = write_frames(work / "frames", 4 if scale.quick else 20, _FRAMES)
    sets = [dataset(work, folders, count, _FRAMES) for count in (few, many)]
    model = compiled(scale.work)
    alone = _model_alone(work, model, sets[0])
    less = f"less {alone:.0f} MB, the peak of infer on a few batches"
    found = []
    for name, command, held, note in (
        ("preprocess", stage("preprocess"), 0.0, "no model is loaded"),
        ("streaming", stage("scripts.stream", "--compiled", model), alone, less),
    ):
        least, most = (_peak([*command, *data.paths, "--output", str(work / "out")], work / "out") for data in sets)
        what = f"peak of {name}, {many} videos"
        found += [
            Row("memory", f"{what} against {few}", "MB", (most,), (least,), _GROWTH, AT_MOST, _HOW),
            Row("memory", f"{what}, besides the model", "MB", (most - held,), (), _LIMIT_MB, AT_MOST, note),
        ]
    return found


def peak_bytes(command: Sequence[str], env: Optional[Dict[str, str]] = None) -> int:
    """Run a command and return the most memory that its processes held at a time, in bytes.

    Pages that they share are counted once. Pages of mapped files (libraries) count as in the process that has most of
    them: other commands may map the same files, and must not make the figure smaller.

    Raises:
        RuntimeError: the command failed, or the kernel does not tell what it held.
    """
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    most = 0
    while process.poll() is None:
        held = [_held(member) for member in _members(process.pid)]
        most = max(most, sum(own for own, _ in held) + max((files for _, files in held), default=0))
        time.sleep(_EVERY_S)
    if process.returncode:
        said = process.stderr.read() if process.stderr else ""
        raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}: {said.strip()[-500:]}")
    if not most:
        raise RuntimeError("/proc has no Pss_Anon, Pss_Shmem and RssFile of the processes: the kernel is too old")
    return most


def _peak(words: Sequence[str], output: Path) -> float:
    shutil.rmtree(output, ignore_errors=True)
    return peak_bytes([sys.executable, *words]) / _MB


def _model_alone(work: Path, model: Path, data: Dataset) -> float:
    """Return the megabytes of a process that runs the model on a few batches and does nothing else."""
    batches = work / "one"
    subprocess.run(
        [sys.executable, *stage("preprocess", *data.paths, "--limit", 4, "--output", batches)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    words = stage("infer", "--compiled", model, "--batches", batches, "--output", work / "scores", "--loop", 1)
    return peak_bytes([sys.executable, *words]) / _MB


def _members(group: int) -> List[Path]:
    """Return the folders in /proc of the processes of a group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[2]) == group:
            found.append(stat.parent)
    return found


def _held(process: Path) -> Tuple[int, int]:
    """Return a process's share of the pages without a file, and its pages of mapped files, in bytes."""
    try:
        rolled, status = (_kilobytes((process / name).read_text()) for name in ("smaps_rollup", "status"))
        return (rolled["Pss_Anon"] + rolled["Pss_Shmem"]) * 1024, status["RssFile"] * 1024
    except (OSError, KeyError):
        return 0, 0  # it has just ended


def _kilobytes(text: str) -> Dict[str, int]:
    words = (line.split() for line in text.splitlines())
    return {line[0].rstrip(":"): int(line[1]) for line in words if line[-1:] == ["kB"]}
