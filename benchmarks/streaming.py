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

from clip2om.benchmarks.inputs import CARD, Dataset, compiled, dataset, run, simulated, stage, write_frames
from clip2om.benchmarks.row import AT_MOST, Growth, Row, Scale

_SOC = "Ascend310P3"
# Start-up takes about half a second of each command: enough videos that it does not decide.
_FRAMES, _VIDEOS, _FOLDERS = 64, 600, 40
# The published network is forty times slower.
_PUBLISHED, _FEW = "3d_resnet", 60
_GROWN, _ROUNDS = 40, 5
_TARGET = 1.1


def rows(scale: Scale) -> List[Row]:
    """Measure both kinds of device; each round runs preprocess, infer and the stream."""
    work = scale.work / "streaming"
    folders = write_frames(work / "frames", 3 if scale.quick else _FOLDERS, _FRAMES)
    data = dataset(work, folders, 6 if scale.quick else _VIDEOS, _FRAMES)
    cpu = _Both(work / "cpu", data, CARD, compiled(scale.work), None)
    device_ms = cpu.device_ms()
    env = simulated(compute_ms=device_ms, null_compute=1)
    npu = _Both(work / "npu", data, CARD, compiled(scale.work, soc=_SOC, env=env), env)
    no_device = f"simulated, no real device: {device_ms:.0f} ms per batch, as long as decoding takes"
    shared = "decoding and inference share the cores, so the sum of their work is the limit"
    made = [_row("streaming, NPU", npu, scale, no_device), _row("streaming, CPU", cpu, scale, shared)]
    if not scale.quick:
        few = dataset(work, folders, _FEW, _FRAMES, _PUBLISHED)
        published = _Both(work / "published", few, _PUBLISHED, compiled(scale.work, _PUBLISHED), None)
        made.append(_row("streaming, CPU", published, scale, shared))
    return made


def growth(scale: Scale) -> List[Growth]:
    """Time infer and the stream at 1, 2, 4 and 8 times as many videos."""
    unit = 2 if scale.quick else _GROWN
    counts = tuple(unit * factor for factor in (1, 2, 4, 8))
    work = scale.work / "growth"
    folders = write_frames(work / "frames", 2 if scale.quick else _FOLDERS, _FRAMES)
    model = compiled(scale.work)
    costs: Dict[str, List[float]] = {"infer": [], "streaming": []}
    for count in counts:
        both = _Both(work / str(count), dataset(work, folders, count, _FRAMES), CARD, model, None)
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
    size = f"{both.videos} videos of {_FRAMES} frames 320x240, whole commands"
    what = f"{both.card}: wall clock against the slowest stage alone; {size}"
    note = f"{note}; both stages one after the other: {median(together):.1f} s"
    return Row(name, what, "s", tuple(ours), tuple(slower), _TARGET, AT_MOST, note)


class _Both:
    """One dataset and one model: the stages, and the stream."""

    def __init__(self, work: Path, data: Dataset, card: str, model: Path, env: Optional[Dict[str, str]]) -> None:
        self._work, self._data, self._model, self._env = work, data, model, env
        self.card, self.videos = card, data.videos

    def preprocess(self) -> float:
        """Return the seconds of the command, everything to be made."""
        shutil.rmtree(self._work / "batches", ignore_errors=True)
        return self._run("preprocess", *self._data.paths, "--output", self._work / "batches")

    def infer(self) -> float:
        """Return the seconds of the command, every batch to be scored."""
        folders = ("--compiled", self._model, "--batches", self._work / "batches", "--output", self._work / "scores")
        return self._run("infer", *folders, "--force")

    def stream(self) -> float:
        """Return the seconds of the command, everything to be made."""
        shutil.rmtree(self._work / "stream", ignore_errors=True)
        folders = ("--compiled", self._model, "--output", self._work / "stream")
        return self._run("scripts.stream", *self._data.paths, *folders)

    def _run(self, name: str, *words: object) -> float:
        return run(stage(name, *words, card=self.card), self._env)

    def device_ms(self) -> float:
        """Return the milliseconds per batch with which inference takes as long as preprocess does."""
        seconds = float(np.median([self.preprocess() for _ in range(2)]))
        manifest: Dict[str, Any] = json.loads((self._work / "batches" / "manifest.json").read_text())
        return 1000 * seconds / len(manifest["files"])
