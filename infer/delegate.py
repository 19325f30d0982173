"""Hand batches to a tool: files in a folder of its own, its console in a log, its results under our names."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Dict, List

import numpy as np

from clip2om.infer.engines.tool import Tool
from clip2om.infer.engines.tool_failure import advice, why
from clip2om.infer.measure import Clock
from clip2om.infer.scores import ScoreFolder
from clip2om.infer.staging import staged
from clip2om.infer.task import Hooks, Outcome, Task
from clip2om.infer.tool_runs import Ended, run_parts
from clip2om.pipeline.artifact import replacing
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.tensor import TensorSpec
from clip2om.pipeline.undisturbed import undisturbed

_COVERS = "the tool's whole run, loading of the model included"
_KILLED = "dmesg says whether the system ran out of memory; run again"
# What the runtime adds to a buffer, beside rounding it up.
_PADDING = 32


def delegate(tool: Tool, task: Task, hooks: Hooks) -> Outcome:
    """Let ``tool`` run ``task`` and take its results; until it has succeeded, earlier results stay as they are.

    Raises:
        RequestError: the tool cannot take this task, or has not done it; its log says more.
    """
    tool.check_options()
    if task.scores is None:
        raise RequestError(f"the {tool.name} engine measures every run, not loops", "--loop", "use --engine acl")
    batch = task.job.manifest.tensor.batch
    if task.job.feed.batch != batch and not tool.joins:
        raise RequestError(
            f"{tool.name} does not join single-clip files into batches of {task.job.feed.batch}",
            task.job.batches,
            "preprocess with --layout packed, or use --engine acl or ais_bench",
        )
    tool.check(task.scores.path.resolve())
    log = task.scores.path / f"{tool.name}.log"
    with staged(tool, task, task.scores.path) as parts:
        clock = Clock(source=tool.name, covers=_COVERS, placed=False)
        hooks.console.say(f"running {tool.name}, {len(parts)} time(s); its output goes to {log}")
        ended = run_parts(tool, parts)
        end = time.perf_counter()
        _write_log(ended, log)
        _check_ended(tool, ended[-1], log)
        files = {name: paths for run in ended for name, paths in _found(tool, run, task, log).items()}
        for run in ended:
            _count(clock, tool.compute_ms(run.stage, run.console), log)
        hooks.begin()
        _adopt(files, task, task.scores, hooks)
    clock.end = end
    warmup = sum(run.stage.warmup for run in ended)
    return Outcome(clock, (warmup, 0.0), _settings(tool, ended))


def _settings(tool: Tool, ended: List[Ended]) -> Dict[str, object]:
    """Return what was run for the record: the first command, how many there were, and on which devices."""
    found: Dict[str, object] = {"command": ended[0].command}
    if len(ended) > 1:
        found["runs"] = len(ended)
    if len(tool.devices) > 1:
        ran = {run.stage.device for run in ended}
        found["devices"] = [device for device in tool.devices if device in ran]
    return found


def _write_log(ended: List[Ended], log: Path) -> None:
    """Write what every run printed, one after the other."""
    with replacing(log) as temporary:
        text = "".join(f"$ {run.command}\n{run.console}" for run in ended)
        temporary.write_text(text, encoding="utf-8", errors="replace")


def _check_ended(tool: Tool, run: Ended, log: Path) -> None:
    if not tool.succeeded(run.code, run.console):
        where = f" on device {run.stage.device}" if len(tool.devices) > 1 else ""
        if run.code < 0:
            # Its last words say nothing about that.
            name = signal.Signals(-run.code).name
            raise RequestError(f"{tool.name} was killed by {name}{where}", log, _KILLED)
        raise RequestError(
            f"{tool.name} has not done its work{where}, exit code {run.code} ({why(run.console)})",
            log,
            advice(run.console, tool.record.soc),
        )


def _found(tool: Tool, run: Ended, task: Task, log: Path) -> Dict[str, List[Path]]:
    """Return the result files by name of the batch file, all of them found whole."""
    paths = tool.result_files(run.stage, len(task.job.outputs))
    names = [file.name for group in run.part.groups for file in group.files]
    for name, row in zip(names, paths):
        for path, spec in zip(row, task.job.outputs):
            found = path.stat().st_size if path.is_file() else None
            if found is None or not _suffices(found, spec):
                state = "there is none" if found is None else f"it has {found} bytes"
                state = f"{state}, expected {spec.nbytes}"
                raise RequestError(
                    f"{tool.name} ended well, but of the result of {name} {state} ({why(run.console)})",
                    log,
                    advice(run.console, tool.record.soc),
                )
    return dict(zip(names, paths))


def _suffices(size: int, spec: TensorSpec) -> bool:
    """Tell whether a file of ``size`` bytes can begin with a tensor of ``spec``.

    Tools write more than the batch has: msame an output with its padding, and of a gear that does not divide the
    largest one the next larger share. One of exactly twice or four times the bytes has other elements, though.
    """
    other = [spec.nbytes * factor for factor in (2, 4, 8) if factor * np.dtype(spec.dtype).itemsize <= 8]
    return size >= spec.nbytes and (size not in other or size == spec.nbytes + _PADDING)


def _load(path: Path, spec: TensorSpec) -> np.ndarray:
    return np.fromfile(path, spec.dtype, int(np.prod(spec.shape))).reshape(spec.shape)


def _adopt(files: Dict[str, List[Path]], task: Task, scores: ScoreFolder, hooks: Hooks) -> None:
    total = sum(group.clips for group in task.groups)
    specs = task.job.outputs
    with hooks.console.progress(total, "clips") as progress:
        for group in task.groups:
            with undisturbed():
                results = [[_load(path, spec) for path, spec in zip(files[file.name], specs)] for file in group.files]
                hooks.keep(group, scores.adopt(group, results))
            progress.advance(group.clips)


def _count(clock: Clock, compute_ms: Dict[int, List[float]], log: Path) -> None:
    """Note the executions, one after the other on each device: when each began, a tool does not say."""
    if not any(compute_ms.values()):
        raise RequestError(f"{clock.source} reports no compute times", log, "the log has all of its output")
    for device, values in compute_ms.items():
        start = clock.begin
        for value in values:
            clock.add(start, start + value / 1000, value, device)
            start += value / 1000
