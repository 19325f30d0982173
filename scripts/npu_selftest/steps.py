"""The commands of the NPU self-test, each a process of its own as a user would type it, with its log kept."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, List, Optional, Sequence

from clip2om.pipeline.command import shell
from clip2om.pipeline.console import Console
from clip2om.pipeline.processes import environment, module_command
from clip2om.pipeline.wording import local

MODEL = "3d_resnet_demo"
_TAIL = 40


@dataclass(frozen=True)
class Step:
    """One command that was run.

    Attributes:
        command: As it can be pasted into a shell, with ``python`` for the interpreter.
        said: The error line of a command that failed, else empty.
        tail: The last lines it printed, where it failed.
        log: File with everything it printed.
    """

    name: str
    command: str
    code: int
    seconds: float
    said: str
    tail: List[str]
    log: str

    @property
    def ok(self) -> bool:
        """True where the command did what it was asked."""
        return self.code == 0


@dataclass
class Runner:
    """Runs commands one after the other and remembers them."""

    folder: Path
    console: Console
    steps: List[Step] = field(default_factory=list)

    def stage(self, name: str, module: str, *args: object, python: str = sys.executable) -> bool:
        """Run ``python -m module args`` from any folder; return whether it ended with 0."""
        words = [str(arg) for arg in args]
        log = self.folder / "logs" / f"{len(self.steps):02d}-{name.replace(' ', '-')}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        self.console.say(f"{name} ...")
        start = time.monotonic()
        with open(log, "wb") as stream:
            code = _call([*module_command(python, module), *words], stream)
        seconds = round(time.monotonic() - start, 1)
        text = "" if code == 0 else log.read_text(encoding="utf-8", errors="replace")
        said = error_line(text) if code else ""
        tail = text.splitlines()[-_TAIL:]
        step = Step(name, local(shell(["python", "-m", module, *words])), code, seconds, said, tail, str(log))
        self.steps.append(step)
        return step.ok


def prepare(runner: Runner, build: Path, export_python: Optional[str]) -> bool:
    """Make the demo model's graph and batches below ``build`` unless they are there (perhaps made elsewhere)."""
    graph, batches = build / "graph", build / "batches"
    if not (graph / "model.json").is_file():
        python = export_python or sys.executable
        if not runner.stage("export", "export", "--model", MODEL, "--output", graph, python=python):
            return False
    if (batches / "manifest.json").is_file():
        return True
    data = Path("build", "demo_data")
    if not (data / "annotation.json").is_file() and not runner.stage(
        "demo dataset", "scripts.demo_dataset", data, "--subset", "validation"
    ):
        return False
    return runner.stage("preprocess", "preprocess", "--model", MODEL, "--output", batches)


def score(runner: Runner, name: str, build: Path, compiled: Path, infer: Sequence[object]) -> bool:
    """Run the batches through a compiled model and score them: ``scores/name`` and ``results/name`` of the folder."""
    batches, scores, results = build / "batches", runner.folder / "scores" / name, runner.folder / "results" / name
    return runner.stage(
        f"infer {name}",
        "infer",
        *("--model", MODEL, "--compiled", compiled, "--batches", batches, "--output", scores, "--force"),
        *infer,
    ) and runner.stage(
        f"postprocess {name}",
        "postprocess",
        *("--model", MODEL, "--batches", batches, "--scores", scores, "--output", results),
    )


def compile_for(runner: Runner, build: Path, soc: str) -> Optional[Path]:
    """Compile the graph for ``soc``, anew; return the folder of the compiled model, None where it failed."""
    folder = runner.folder / "compiled" / soc
    done = runner.stage(
        *(f"convert {soc}", "convert", "--model", MODEL, "--graph", build / "graph"),
        *("--soc", soc, "--output", folder, "--force"),
    )
    return folder if done else None


def error_line(text: str) -> str:
    """Return the line with the error of a stage, else the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if ": error: " in line]
    return (errors or lines or ["no output"])[-1]


def _call(command: List[str], stream: BinaryIO) -> int:
    try:
        done = subprocess.run(
            command, env=environment(), stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
        )
    except OSError as error:
        stream.write(f"{command[0]} cannot be run ({error.strerror})\n".encode())
        return 127
    return done.returncode
