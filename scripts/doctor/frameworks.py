"""The virtual environments of the four frameworks: which are there, and with which release."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import List, Optional, Tuple

from clip2om.export.frameworks import FRAMEWORKS
from clip2om.scripts.doctor.check import OK, WRONG, Check, Patient, Section, examine, numbers
from clip2om.scripts.doctor.stages import lower_bound

# What brings each framework, the usual distribution first.
_DISTRIBUTIONS = {
    "pytorch": ("torch",),
    "tensorflow": ("tensorflow_cpu", "tensorflow"),
    "paddle": ("paddlepaddle", "paddlepaddle_gpu"),
    "mindspore": ("mindspore",),
}
_USES = {"mindspore": "export, and the mindspore engine for MINDIR"}


def frameworks(patient: Patient) -> Section:
    """Return a line per framework; none of them holds anything up, because make builds what a card needs."""
    return examine("frameworks", [functools.partial(_framework, patient, name) for name in FRAMEWORKS])


def _framework(patient: Patient, name: str) -> List[Check]:
    kind = FRAMEWORKS[name].requirements
    folder, build = f".venv/{kind}", f"make .venv/{kind}/.ready"
    use = _USES.get(name, "export")
    if not (patient.project / folder / "bin/python").exists():
        return [Check(name, OK, f"no {folder}: make builds it when a card needs it, for {use}")]
    found = _installed(patient.project / folder, _DISTRIBUTIONS[name])
    if found is None:
        return [Check(name, WRONG, f"{folder} lacks {_DISTRIBUTIONS[name][0]}", build)]
    distribution, version = found
    bound = lower_bound(kind, distribution.replace("_", "-"))
    if bound and numbers(version) < numbers(bound):
        return [Check(name, WRONG, f"{version} in {folder}, {bound} or newer was tried", build)]
    return [Check(name, OK, f"{version} in {folder}, for {use}")]


def _installed(environment: Path, distributions: Tuple[str, ...]) -> Optional[Tuple[str, str]]:
    """Return name and version of the first distribution that is there, from its folder: nothing is started."""
    for distribution in distributions:
        for path in environment.glob(f"lib/python3*/site-packages/{distribution}-*.dist-info"):
            match = re.fullmatch(rf"{distribution}-(.+)\.dist-info", path.name)
            if match:
                return distribution, match[1]
    return None
