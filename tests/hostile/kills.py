"""Stages killed at random moments and run again: what is left in the end has the bytes of an undisturbed run."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List

from tests.command import ROOT
from tests.infer.cases import Case
from tests.preprocess.conftest import SmallSet
from tests.scripts.stream.stream_case import StreamCase, members

# Of these the contents tell of the run itself: when it began, how fast it was.
_OF_THE_RUN = (".progress.jsonl", ".lock", "summary.json")


@dataclass(frozen=True)
class Stage:
    """A command and the folder that it fills."""

    name: str
    words: List[str]
    output: Path


@dataclass
class Counts:
    """What was done, and what was found wrong."""

    kills: int
    resumes: int
    wrong: List[str]


def stages(folder: Path) -> List[Stage]:
    """Return the stages with data of their own."""
    small = SmallSet(folder / "preprocess", 24)
    case = Case(folder / "infer").build(count=240)
    stream = StreamCase(folder / "stream", 12)
    made = [str(word) for word in small.args("--workers", 2, "--batch", 4)]
    return [
        Stage("preprocess", ["preprocess", *made], small.output),
        Stage("infer", ["infer", *case.argv()], case.output),
        Stage("scripts.stream", ["scripts.stream", *stream.arguments()], stream.streamed),
    ]


def kill_and_resume(stage: Stage, kills: int, seed: int) -> Counts:
    """Kill a stage ``kills`` times, one process or the whole group, about a third of them twice before they end."""
    dice = random.Random(f"{stage.name} {seed}")
    begin = time.monotonic()
    _finish(stage)
    lasts = time.monotonic() - begin
    good, counts = contents(stage.output), Counts(0, 0, [])
    while counts.kills < kills:
        shutil.rmtree(stage.output)
        for _ in range(dice.choice((1, 1, 2))):
            counts.kills += _killed(stage, dice.uniform(0.0, lasts), dice.random() < 0.5)
        _finish(stage)
        counts.resumes += 1
        found = contents(stage.output)
        differ = sorted(name for name in good.keys() | found.keys() if good.get(name) != found.get(name))
        counts.wrong += [f"{stage.name} {seed}: {name} differs" for name in differ]
    return counts


def contents(folder: Path) -> Dict[str, bytes]:
    """Return the bytes of all files of a folder that do not tell of the run itself; hidden leftovers are among them."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in _OF_THE_RUN
    }


def _start(stage: Stage) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", *stage.words],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _finish(stage: Stage) -> None:
    run = _start(stage)
    _, errors = run.communicate(timeout=300)
    if run.returncode:
        raise RuntimeError(f"{stage.name} ended with {run.returncode}: {errors.decode('utf-8', 'replace')}")


def _killed(stage: Stage, after: float, whole: bool) -> int:
    """Run a stage and kill it; return 0 where it had ended before."""
    run = _start(stage)
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.communicate(timeout=after)
        return 0
    with contextlib.suppress(ProcessLookupError):
        (os.killpg if whole else os.kill)(run.pid, signal.SIGKILL)
    run.communicate()
    # Workers end by themselves when their parent is gone.
    deadline = time.monotonic() + 60
    while members(run.pid):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{stage.name} left processes behind")
        time.sleep(0.02)
    return 1
