"""The folder that a tool is given: model and batch files, in parts that make one run of the tool each."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Sequence

from clip2om.infer.engines.tool import Stage, Tool
from clip2om.infer.groups import Group
from clip2om.infer.reader import verify_file
from clip2om.infer.task import Task

_PREFIX = ".staging-"
_SHARED = stat.S_IWGRP | stat.S_IWOTH
# What a run of a tool must at least be worth, in executions: each loads the model anew, which takes seconds.
_LEAST = 100


@dataclass(frozen=True)
class Part:
    """Some executions, and where the tool finds their files and leaves their results."""

    stage: Stage
    groups: List[Group]


@contextlib.contextmanager
def staged(tool: Tool, task: Task, folder: Path) -> Iterator[List[Part]]:
    """Make the folder that the tool runs in, on the disk of the results, and remove it afterwards.

    Raises:
        RequestError: with ``task.verify``, a batch file is not the manifest's.
    """
    for left in folder.glob(f"{_PREFIX}*"):
        shutil.rmtree(left)
    root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder.resolve()))
    try:
        for name in ("model", "input", "results"):
            (root / name).mkdir(mode=0o700)
        for name in tool.record.files:
            _place(tool.model.parent / name, root / "model" / name)
        sizes = part_sizes(len(task.groups), len(tool.devices), tool.most_files // len(task.groups[0].files))
        starts = [sum(sizes[:index]) for index in range(len(sizes))]
        yield [
            _part(tool, task, root, number, task.groups[start : start + size])
            for number, (start, size) in enumerate(zip(starts, sizes))
        ]
    finally:
        shutil.rmtree(root, ignore_errors=True)


def part_sizes(executions: int, devices: int, most: int) -> List[int]:
    """Return how many executions each run of a tool gets, in the order in which free devices take them.

    One device does all of them in one run. Several take ever smaller parts, so that a slow one holds up nobody; a few
    executions are shared evenly. No part has more than ``most``.
    """
    sizes: List[int] = []
    left = executions
    while left:
        size = left
        if devices > 1:
            waiting = devices - len(sizes)
            # Rounded up: the first devices get one more where it does not come out even.
            size = -(-left // waiting) if waiting > 0 and executions < 2 * _LEAST * devices else _share(left, devices)
        sizes.append(max(1, min(size, most, left)))
        left -= sizes[-1]
    return sizes


def _share(left: int, devices: int) -> int:
    return max(_LEAST, -(-left // (2 * devices)))


def _part(tool: Tool, task: Task, root: Path, number: int, groups: Sequence[Group]) -> Part:
    inputs, results = f"input/{number}", f"results/{number}"
    for name in (inputs, results):
        (root / name).mkdir(mode=0o700)
    files = [file for group in groups for file in group.files]
    for index, file in enumerate(files):
        source = task.job.batches / file.name
        if task.verify:
            verify_file(source, file)
        _place(source, root / inputs / f"{Stage.stem(index)}.bin")
    warmup = task.warmup if tool.warms_up else 0
    stage = Stage(
        *(root, f"model/{tool.record.file}", inputs, results, len(files), len(groups), task.job.feed.batch, warmup)
    )
    return Part(stage, list(groups))


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
