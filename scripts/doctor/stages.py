"""Checks that do not depend on Ascend: Python, libraries of each stage, disk and memory."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from clip2om.pipeline import places
from clip2om.pipeline.console import size
from clip2om.pipeline.soc import CPU
from clip2om.scripts.doctor.check import MISSING, OK, STAGES, WRONG, Check, Patient, Section, examine, numbers

# Distributions of each stage apart from its engine, each with the requirements file that has its lower bound.
_LIBRARIES: Dict[str, Tuple[str, Tuple[str, ...]]] = {
    "export": ("torch", ("torch", "onnx", "onnxsim", "onnxruntime", "numpy")),
    "preprocess": ("core", ("numpy", "Pillow", "av")),
    "convert": ("core", ("numpy",)),
    "infer": ("core", ("numpy",)),
    "postprocess": ("core", ("numpy",)),
}
_CPU_ENGINES = ("openvino", "onnxruntime")
_PYTHON = {"export": (3, 10), "preprocess": (3, 9), "convert": (3, 9), "infer": (3, 9), "postprocess": (3, 9)}
_DISK_BYTES = 1 << 30
_MEMORY_BYTES = 2 << 30
_VERSIONS = (
    "import json, sys\nfrom importlib import metadata\nfound = {'python': sys.version.split()[0]}\n"
    "for name in sys.argv[1:]:\n"
    "    try:\n        found[name] = metadata.version(name)\n"
    "    except metadata.PackageNotFoundError:\n        pass\n"
    "print(json.dumps(found))"
)


def everywhere(patient: Patient) -> Section:
    """Return what every stage needs: disk and memory."""
    return examine("host", [functools.partial(_disk, patient), functools.partial(_memory, patient)])


def stage(patient: Patient, name: str, python: str, found: Dict[str, str]) -> Section:
    """Return Python and libraries of one stage: ``found`` is what :func:`versions` said of ``python``."""
    probes = [functools.partial(_libraries, patient, name, python, found)]
    if patient.soc == CPU and name in ("convert", "infer"):
        probes.append(functools.partial(_engines, patient, name, found))
    return examine(name, probes)


def versions(patient: Patient, python: str) -> Dict[str, str]:
    """Return the versions that ``python`` has of itself (key ``python``) and of each library, importing none."""
    code, text = patient.run([python, "-c", _VERSIONS, *libraries()])
    lines = text.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if code == 0 and lines else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) and "python" in found else {}


def libraries() -> Tuple[str, ...]:
    """Return every distribution that some stage uses, for a record of this host."""
    names = [name for _, group in _LIBRARIES.values() for name in group]
    return tuple(dict.fromkeys([*names, *_CPU_ENGINES, "tomli"]))


def lower_bound(requirements: str, name: str) -> str:
    """Return the lower bound of a distribution in requirements/<requirements>.txt, empty where it has none."""
    # What every stage needs is in host.txt, which core.txt includes.
    for file in (f"{requirements}.txt", "host.txt"):
        text = (places.ROOT / "requirements" / file).read_text(encoding="utf-8")
        found = re.search(rf"^{re.escape(name)}>=([\d.]+)", text, re.MULTILINE | re.IGNORECASE)
        if found:
            return found.group(1)
    return ""


def _libraries(patient: Patient, name: str, python: str, found: Dict[str, str]) -> List[Check]:
    requirements, wanted = _LIBRARIES[name]
    if not found:
        return [Check("Python", WRONG, f"{python} cannot be run", "check the path of the interpreter", (name,))]
    checks = [_python(name, found["python"], python)]
    if numbers(found["python"]) < (3, 11):
        wanted = (*wanted, "tomli")
    for library in wanted:
        bound = lower_bound("core" if library == "tomli" else requirements, library)
        checks.append(_library(library, found.get(library, ""), bound, requirements, name, python))
    return checks


def _python(name: str, version: str, python: str) -> Check:
    least = _PYTHON[name]
    if numbers(version) >= least:
        return Check("Python", OK, f"{version} ({python})")
    wanted = ".".join(map(str, least))
    todo = f"run {name} with Python {wanted} or newer; another machine may do it"
    return Check("Python", WRONG, f"{version}, {name} needs {wanted} or newer", todo, (name,))


def _library(library: str, version: str, bound: str, requirements: str, name: str, python: str) -> Check:
    # PyAV is needed for video files only; folders of frames do without it.
    blocks = () if library == "av" else (name,)
    use = " (only video files need it)" if library == "av" else ""
    install = f"{python} -m pip install -r requirements/{requirements}.txt"
    if name in ("export", "preprocess"):
        install += f", or run {name} on another machine"
    if not version:
        return Check(library, MISSING, f"not installed{use}", install, blocks)
    if bound and numbers(version) < numbers(bound):
        return Check(library, WRONG, f"{version}, {bound} or newer was tried", install, blocks)
    return Check(library, OK, version)


def _engines(patient: Patient, name: str, found: Dict[str, str]) -> List[Check]:
    """Return one line: OpenVINO or ONNX Runtime, either is enough."""
    present = [f"{engine} {found[engine]}" for engine in _CPU_ENGINES if engine in found]
    if present:
        return [Check("CPU engine", OK, ", ".join(present))]
    todo = f"{patient.python} -m pip install -r requirements/openvino.txt"
    return [Check("CPU engine", MISSING, "neither openvino nor onnxruntime is installed", todo, (name,))]


def _disk(patient: Patient) -> List[Check]:
    folder = patient.project / "build"
    where = folder if os.path.isdir(folder) else patient.project
    free = shutil.disk_usage(where).free
    found = f"{size(free)} free at {where}"
    if not os.access(where, os.W_OK):
        return [Check("disk", WRONG, f"{where} cannot be written", "BUILD=/other/disk", STAGES)]
    if free < _DISK_BYTES:
        todo = "free some, or BUILD=/other/disk: the batches of HMDB51 take about 6 GB as uint8, 23 GB as float32"
        return [Check("disk", WRONG, found, todo, STAGES)]
    return [Check("disk", OK, found)]


def _memory(patient: Patient) -> List[Check]:
    available = _meminfo(patient.root / "proc/meminfo")
    if available is None:
        return []
    if available < _MEMORY_BYTES:
        todo = "stop other programs: export and ATC take several GB"
        return [Check("memory", WRONG, f"{size(available)} available", todo)]
    return [Check("memory", OK, f"{size(available)} available")]


def _meminfo(path: Path) -> Optional[int]:
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", path.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(found.group(1)) * 1024 if found else None
