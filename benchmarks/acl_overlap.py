"""How well the acl engine overlaps copies and execution, on the simulated NPU.

    python -m benchmarks.acl_overlap [--quick] [--json FILE]

The simulator takes a given time for each copy and each execution and computes nothing, so what is measured is the
engine alone: its throughput against that of the slowest stage (the most that any runner could reach), the Python time
that it spends per batch, and two devices against one. Nothing here says how fast a real NPU is.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from clip2om.pipeline.command import Parser, run
from clip2om.pipeline.console import Console
from clip2om.pipeline.places import ROOT

# The clips of the 3d_resnet recipe: 24 MB per batch.
_BATCH = 10
_SHAPE = (3, 16, 112, 112)
_FILES = 24
# Milliseconds for copy in, execution, copy out; the second is about an Ascend 310P at the published 794.91 clips/s.
_STAGES = {
    "balanced": (10.0, 10.0, 10.0),
    "310P-like": (4.0, 12.6, 0.1),
    "slow copy in": (20.0, 8.0, 1.0),
    "slow copy out": (4.0, 8.0, 16.0),
}


@dataclass(frozen=True)
class Case:
    """One measurement: simulated milliseconds, batches per second reached and possible, and their ratio."""

    name: str
    devices: int
    stages_ms: Tuple[float, float, float]
    batches: int
    batches_per_s: float
    bound_per_s: float
    ratio: float


def main(argv: Optional[List[str]] = None) -> int:
    """Measure and show a table; see --help."""
    parser = Parser(
        prog="python -m benchmarks.acl_overlap", description="Overlap of the acl engine on the simulated NPU."
    )
    parser.add_argument("--quick", action="store_true", help="fewer batches, less exact")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    parser.add_argument("--python-time", metavar="LOOPS", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", metavar="DIR", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    return run("acl_overlap", lambda: _benchmark(args))


def _benchmark(args: argparse.Namespace) -> int:
    if args.python_time:
        return _python_time(Path(args.folder), args.python_time)
    loops = 5 if args.quick else 20
    with tempfile.TemporaryDirectory() as folder:
        _prepare(Path(folder))
        cases = [_measure(Path(folder), name, stages, 1, loops) for name, stages in _STAGES.items()]
        two = _measure(Path(folder), "310P-like", _STAGES["310P-like"], 2, 2 * loops)
        python = _python(Path(folder), loops)
    _show(cases, two, python, Console("benchmark"))
    if args.json:
        _write(Path(args.json), cases, two, python)
    return 0


def _prepare(folder: Path) -> None:
    from tests.convert.graphs import Graph
    from tests.infer.cases import clips_of, write_batches
    from tests.infer.npu import write_om

    graph = Graph(-1, "float32", _SHAPE)
    write_om(folder / "compiled", graph, _BATCH)
    write_batches(folder / "batches", graph, clips_of(_BATCH * _FILES, graph), _BATCH)


def _environment(stages: Tuple[float, float, float], devices: int) -> Dict[str, str]:
    from tests.cann_sim import environment

    h2d, compute, d2h = stages
    return environment(devices=devices, h2d_ms=h2d, compute_ms=compute, d2h_ms=d2h, null_compute=1)


def _measure(folder: Path, name: str, stages: Tuple[float, float, float], devices: int, loops: int) -> Case:
    numbers = ",".join(str(number) for number in range(devices))
    command = [sys.executable, "-m", "infer", "--engine", "acl", "--loop", str(loops), "--devices", numbers, "--quiet"]
    for option in ("compiled", "batches", "output"):
        command += [f"--{option}", str(folder / option)]
    subprocess.run(command, cwd=ROOT, env=_environment(stages, devices), check=True, stdout=subprocess.DEVNULL)
    found: Dict[str, Any] = json.loads((folder / "output" / "benchmark.json").read_text())["throughput"]
    rate = found["wall"]["slots_per_s"] / _BATCH
    bound = devices * 1000 / max(stages)
    return Case(name, devices, stages, found["batches"], round(rate, 3), round(bound, 3), round(rate / bound, 4))


def _python(folder: Path, loops: int) -> float:
    """Return the milliseconds of Python per batch, measured in a process that has the simulated ACL."""
    command = [sys.executable, "-m", "benchmarks.acl_overlap", "--python-time", str(loops), "--folder", str(folder)]
    env = _environment(_STAGES["310P-like"], 1)
    done = subprocess.run(command, cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


def _python_time(folder: Path, loops: int) -> int:
    """Show the processor time of the engine's thread per batch, without that of the simulated ACL functions."""
    import time

    import acl  # type: ignore[import-not-found, unused-ignore]

    from clip2om.infer.engines.acl import AclEngine
    from clip2om.infer.engines.base import Options
    from clip2om.infer.execute import execute, warm_up
    from clip2om.infer.job import load_job
    from clip2om.infer.task import Task

    inside = [0.0]

    def timed(function: Any) -> Any:
        def call(*args: Any) -> Any:
            start = time.thread_time()
            try:
                return function(*args)
            finally:
                inside[0] += time.thread_time() - start

        return call

    for module in (acl, acl.rt, acl.mdl):
        for name, value in list(vars(module).items()):
            if callable(value) and not isinstance(value, type) and not name.startswith("_"):
                setattr(module, name, timed(value))
    job = load_job(folder / "compiled", folder / "batches")
    task = Task(job, job.groups * loops, None, 1, False)
    with AclEngine(folder / "compiled", job.record, Options()) as engine:
        warm_up(engine, job.feed, 1)
        inside[0] = 0.0
        start = time.thread_time()
        execute(engine, task, task.groups, lambda *_: None)
        spent = time.thread_time() - start - inside[0]
    Console("benchmark").result(f"{1000 * spent / len(task.groups):.4f}")
    return 0


def _show(cases: List[Case], two: Case, python: float, console: Console) -> None:
    head = ["simulated stages, ms", "devices", "batches/s", "1/max(stage)", "ratio"]
    rows = [
        [
            f"{case.name}: {' + '.join(f'{value:g}' for value in case.stages_ms)}",
            *(str(case.devices), f"{case.batches_per_s:.2f}", f"{case.bound_per_s:.2f}", f"{case.ratio:.3f}"),
        ]
        for case in (*cases, two)
    ]
    console.table(head, rows)
    console.result(f"two devices against one: {_gain(cases, two):.2f} (target 1.9)")
    console.result(f"Python per batch: {python:.3f} ms (target below 1)")


def _gain(cases: List[Case], two: Case) -> float:
    one = next(case for case in cases if case.name == two.name)
    return two.batches_per_s / one.batches_per_s


def _write(path: Path, cases: List[Case], two: Case, python: float) -> None:
    from clip2om.pipeline import facts
    from clip2om.pipeline.artifact import write_json

    figures = {"cases": [asdict(case) for case in (*cases, two)], "python_ms_per_batch": python}
    write_json(path, "acl_overlap", 1, {**figures, "two_against_one": _gain(cases, two), "host": facts.host()})


if __name__ == "__main__":
    sys.exit(main())
