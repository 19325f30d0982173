"""Runs of a tool: a process group per device, each given the next part when it has done one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Deque, Dict, List

from clip2om.infer.engines.tool import Stage, Tool
from clip2om.infer.staging import Part
from clip2om.pipeline.command import shell
from clip2om.pipeline.undisturbed import undisturbed

_GRACE_S = 20
_PAUSE_S = 0.02


@dataclass(frozen=True)
class Ended:
    """A run of the tool that is over.

    Attributes:
        stage: Where it ran, with the device.
        part: What it was given.
        command: As a shell has it.
        code: Exit code.
        console: Everything that it printed.
    """

    stage: Stage
    part: Part
    command: str
    code: int
    console: str


@dataclass(frozen=True)
class _Run:
    stage: Stage
    part: Part
    command: str
    output: Path
    process: "subprocess.Popen[bytes]"

    def ended(self) -> Ended:
        """Return what is left of a process that is over; what it started itself is ended with it."""
        self.send(signal.SIGKILL)
        console = self.output.read_text(encoding="utf-8", errors="replace")
        return Ended(self.stage, self.part, self.command, self.process.wait(), console)

    def alive(self) -> bool:
        """Tell whether any process of the group is left."""
        if self.process.poll() is None:
            return True
        try:
            os.killpg(self.process.pid, 0)
        except OSError:
            return False
        return True

    def send(self, number: int) -> None:
        """Send a signal to the tool and everything that it started."""
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, number)


def run_parts(tool: Tool, parts: List[Part]) -> List[Ended]:
    """Run the tool over all parts, on every device of its options at the same time.

    The first run that fails is the last one of the list; the others are stopped, and parts not begun are left out.
    An interrupt ends every process that was started, and everything that these started.
    """
    waiting: Deque[Part] = deque(parts)
    running: Dict[int, _Run] = {}
    ended: List[Ended] = []
    try:
        while waiting or running:
            for device in tool.devices:
                if device not in running and waiting:
                    with undisturbed():
                        running[device] = _start(tool, waiting.popleft(), device)
            for device in [device for device, run in running.items() if run.process.poll() is not None]:
                ended.append(running.pop(device).ended())
                if not tool.succeeded(ended[-1].code, ended[-1].console):
                    _stop(list(running.values()))
                    return ended
            time.sleep(_PAUSE_S)
    except BaseException:
        _stop(list(running.values()))
        raise
    return ended


def _start(tool: Tool, part: Part, device: int) -> _Run:
    stage = replace(part.stage, device=device)
    command = tool.command(stage)
    output = stage.root / f"{stage.results}.log"
    with open(output, "wb") as stream:
        # In a session of its own: a tool may start processes, and what is sent to its group reaches them all.
        process = subprocess.Popen(
            *(command,),
            cwd=stage.root,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=tool.environment(),
            start_new_session=True,
        )
    return _Run(stage, part, shell(command), output, process)


def _stop(runs: List[_Run]) -> None:
    """End everything: with SIGTERM, and after a while, or at once on a second interrupt, with SIGKILL."""
    try:
        for run in runs:
            run.send(signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_S
        while any(run.alive() for run in runs) and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)
    finally:
        with undisturbed():
            for run in runs:
                run.send(signal.SIGKILL)
                run.process.wait()
