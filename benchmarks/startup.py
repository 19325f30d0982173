"""How long a command takes to say what it can do: no heavy import before it is needed."""

from __future__ import annotations

from typing import List

from clip2om.benchmarks.inputs import run
from clip2om.benchmarks.row import AT_MOST, Row, Scale

_STAGES = ("export", "preprocess", "convert", "infer", "postprocess")
_TARGET_S = 0.3


def rows(scale: Scale) -> List[Row]:
    """Time ``--help`` of each stage, all of them in turn."""
    samples = {name: [] for name in _STAGES}  # type: dict[str, list[float]]
    for _ in range(scale.rounds):
        for name in _STAGES:
            samples[name].append(run(["-m", name, "--help"]))
    return [
        Row("start-up", f"python -m {name} --help", "s", tuple(samples[name]), (), _TARGET_S, AT_MOST)
        for name in _STAGES
    ]
