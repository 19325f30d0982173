"""Streaming against the slowest stage alone: what overlapping is worth.

On the CPU decoding and inference share the cores, so no overlap can hide one behind the other: the sum of their work is
the limit. On an NPU they have a processor each; that is measured with the simulated one, whose executions take a given
time and no processor time.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import median
from typing import Any, Dict, List, Optional

import numpy as np

from benchmarks.inputs import Dataset, compiled_demo, dataset, run, simulated, stage, write_frames
from benchmarks.row import AT_MOST, Growth, Row, Scale

_SOC = "Ascend310P3"
# Start-up takes about half a second of each command: enough videos that it does not decide.
_FRAMES, _VIDEOS, _FOLDERS = 64, 600, 40
_GROWN, _ROUNDS = 40, 5
_TARGET = 1.1


def rows(scale: Scale) -> List[Row]:
    """Measure both kinds of device; each round runs preprocess, infer and the stream."""
    videos = 6 if scale.quick else _VIDEOS
    work = scale.work / "streaming"
    folders = write_frames(work / "frames", 3 if scale.quick else _FOLDERS, _FRAMES)
    data = dataset(work, folders, videos, _FRAMES)
    cpu = _Both(work / "cpu", data, compiled_demo(scale.work), None)
    device_ms = cpu.device_ms()
    env = simulated(compute_ms=device_ms, null_compute=1)
    npu = _Both(work / "npu", data, compiled_demo(scale.work, soc=_SOC, env=env), env)
    no_device = f"simulated, no real device: {device_ms:.0f} ms per batch, as long as decoding takes"
    shared = "decoding and inference share the cores, so the sum of their work is the limit"
    return [_row("streaming, NPU", npu, scale, no_device), _row("streaming, CPU", cpu, scale, shared)]


def growth(scale: Scale) -> List[Growth]:
    """Time infer and the stream at 1, 2, 4 and 8 times as many videos."""
    unit = 2 if scale.quick else _GROWN
    counts = tuple(unit * factor for factor in (1, 2, 4, 8))
    work = scale.work / "growth"
    folders = write_frames(work / "frames", 2 if scale.quick else _FOLDERS, _FRAMES)
    model = compiled_demo(scale.work)
    costs: Dict[str, List[float]] = {"infer": [], "streaming": []}
    for count in counts:
        both = _Both(work / str(count), dataset(work, folders, count, _FRAMES), model, None)
        both.preprocess()
        costs["infer"].append(both.infer())
        costs["streaming"].append(both.stream())
    return [Growth(name, "s", counts, tuple(cost)) for name, cost in costs.items()]


def _row(name: str, both: _Both, scale: Scale, note: str) -> Row:
    ours, slower, together = [], [], []
    for _ in range(min(scale.rounds, _ROUNDS)):
        stages = (both.preprocess(), both.infer())
        ours.append(both.stream())
        slower.append(max(stages))
        together.append(sum(stages))
    what = (
        f"wall clock against the slowest stage alone; {both.videos} videos of {_FRAMES} frames 320x240, whole commands"
    )
    note = f"{note}; both stages one after the other: {median(together):.1f} s; {len(ours)} rounds"
    return Row(name, what, "s", tuple(ours), tuple(slower), _TARGET, AT_MOST, note)


class _Both:
    """One dataset and one model: the stages, and the stream."""

    def __init__(self, work: Path, data: Dataset, model: Path, env: Optional[Dict[str, str]]) -> None:
        self._work, self._data, self._model, self._env = work, data, model, env
        self.videos = data.videos

    def preprocess(self) -> float:
        """Return the seconds of the command, everything to be made."""
        shutil.rmtree(self._work / "batches", ignore_errors=True)
        return run(stage("preprocess", *self._data.paths, "--output", self._work / "batches"), self._env)

    def infer(self) -> float:
        """Return the seconds of the command, every batch to be scored."""
        folders = ("--compiled", self._model, "--batches", self._work / "batches", "--output", self._work / "scores")
        return run(stage("infer", *folders, "--force"), self._env)

    def stream(self) -> float:
        """Return the seconds of the command, everything to be made."""
        shutil.rmtree(self._work / "stream", ignore_errors=True)
        folders = ("--compiled", self._model, "--output", self._work / "stream")
        return run(stage("scripts.stream", *self._data.paths, *folders), self._env)

    def device_ms(self) -> float:
        """Return the milliseconds per batch with which inference takes as long as preprocess does."""
        seconds = float(np.median([self.preprocess() for _ in range(2)]))
        manifest: Dict[str, Any] = json.loads((self._work / "batches" / "manifest.json").read_text())
        return 1000 * seconds / len(manifest["files"])
