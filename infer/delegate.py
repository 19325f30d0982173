"""Hand batches to a tool: files in a folder of its own, its console in a log, its results under our names."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Dict, Iterator, List

import numpy as np

from clip2om.infer.engines.tool import Stage, Tool, advice, why
from clip2om.infer.measure import Clock
from clip2om.infer.reader import verify_file
from clip2om.infer.scores import ScoreFolder
from clip2om.infer.task import Hooks, Outcome, Task
from clip2om.pipeline.artifact import replacing
from clip2om.pipeline.command import shell
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.undisturbed import undisturbed

_PREFIX = ".staging-"
_COVERS = "the tool's whole run, loading of the model included"
_GRACE_S = 20
_SHARED = stat.S_IWGRP | stat.S_IWOTH


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
    with _stage(tool, task, task.scores.path) as stage:
        log = task.scores.path / f"{tool.name}.log"
        clock = Clock(source=tool.name, covers=_COVERS, placed=False)
        console = _run(tool, stage, log, hooks)
        end = time.perf_counter()
        results = _read(tool, stage, task, log, console)
        _count(clock, tool.compute_ms(stage, console), log)
        hooks.begin()
        _adopt(results, task, task.scores, hooks)
    clock.end = end
    return Outcome(clock, (stage.warmup, 0.0), {"command": shell(tool.command(stage))})


@contextlib.contextmanager
def _stage(tool: Tool, task: Task, folder: Path) -> Iterator[Stage]:
    """Make the folder that the tool runs in, on the disk of the results, and remove it afterwards."""
    for left in folder.glob(f"{_PREFIX}*"):
        shutil.rmtree(left)
    root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder.resolve()))
    try:
        for name in ("model", "input", "results"):
            (root / name).mkdir(mode=0o700)
        for name in tool.record.files:
            _place(tool.model.parent / name, root / "model" / name)
        files = [file for group in task.groups for file in group.files]
        for index, file in enumerate(files):
            source = task.job.batches / file.name
            if task.verify:
                verify_file(source, file)
            _place(source, root / "input" / f"{Stage.stem(index)}.bin")
        yield Stage(
            *(root, f"model/{tool.record.file}", "input", "results", len(files), len(task.groups)),
            *(task.job.feed.batch, task.warmup if tool.warms_up else 0),
        )
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _place(source: Path, target: Path) -> None:
    """Link a file, or copy it where it cannot be linked or has permissions that a strict tool refuses."""
    source = source.resolve()
    facts = source.stat()
    if facts.st_uid == os.geteuid() and not facts.st_mode & _SHARED:
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
    shutil.copyfile(source, target)
    target.chmod(0o600)


def _run(tool: Tool, stage: Stage, log: Path, hooks: Hooks) -> str:
    """Run the tool and return its console output, which the log has too."""
    command = tool.command(stage)
    hooks.console.say(f"running {shell(command)}; its output goes to {log}")
    with replacing(log) as temporary, open(temporary, "wb") as stream:
        stream.write(f"$ {shell(command)}\n".encode())
        stream.flush()
        process = subprocess.Popen(command, cwd=stage.root, stdout=stream, stderr=subprocess.STDOUT)
        try:
            code = process.wait()
        except BaseException:
            _stop(process)
            raise
    console = log.read_text(encoding="utf-8", errors="replace").partition("\n")[2]
    if not tool.succeeded(code, console):
        raise RequestError(
            f"{tool.name} has not done its work, exit code {code} ({why(console)})",
            log,
            advice(console, tool.record.soc),
        )
    return console


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _read(tool: Tool, stage: Stage, task: Task, log: Path, console: str) -> Iterator[List[np.ndarray]]:
    """Return the outputs per batch file, after all of them were found whole."""
    specs = task.job.outputs
    paths = tool.result_files(stage, len(specs))
    names = [file.name for group in task.groups for file in group.files]
    for name, row in zip(names, paths):
        for path, spec in zip(row, specs):
            found = path.stat().st_size if path.is_file() else None
            if found != spec.nbytes:
                state = "there is none" if found is None else f"it has {found} bytes"
                state = f"{state}, expected {spec.nbytes}"
                raise RequestError(
                    f"{tool.name} ended well, but of the result of {name} {state} ({why(console)})",
                    log,
                    advice(console, tool.record.soc),
                )
    return ([np.fromfile(path, spec.dtype).reshape(spec.shape) for path, spec in zip(row, specs)] for row in paths)


def _adopt(results: Iterator[List[np.ndarray]], task: Task, scores: ScoreFolder, hooks: Hooks) -> None:
    total = sum(group.clips for group in task.groups)
    with hooks.console.progress(total, "clips") as progress:
        for group in task.groups:
            with undisturbed():
                hooks.keep(group, scores.adopt(group, [next(results) for _ in group.files]))
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
