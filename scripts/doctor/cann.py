"""Checks of the CANN installation: version, environment variables, Python and NumPy against its table, ATC."""

from __future__ import annotations

import functools
import json
import os
import platform
import re
from pathlib import Path
from typing import List, Mapping, Optional, Tuple

from clip2om.pipeline.ascend_host import AscendHost, Cann, platforms
from clip2om.pipeline.soc import doubt, operator_chips
from clip2om.scripts.doctor.check import MISSING, OK, WRONG, Check, Patient, Section, examine, last_line, numbers, which

_SET_ENV = "source {home}/set_env.sh"
_INSTALL = "install the CANN toolkit (convert) or nnrt (infer only), then source its set_env.sh"
# CANN release, its oldest and newest Python, its oldest NumPy and the first one that is too new: the installation
# guides of 6.0 to 9.1. 8.0.RC3 is between two rows of the guides; it is counted with 8.0.0 (inferred).
_TABLE = (
    ((9, 1, 0), (3, 7), (3, 14), "1.19.2", ""),
    ((9, 0, 0), (3, 7), (3, 13), "1.19.2", ""),
    ((8, 5, 0), (3, 7), (3, 13), "1.19.2", "2.0"),
    ((8, 0, 3), (3, 7), (3, 11), "1.19.2", "1.25"),
    ((7, 0, 0), (3, 7), (3, 10), "1.19.2", "1.25"),
    ((5, 0, 0), (3, 7), (3, 9), "1.14.3", "1.25"),
)
_RC = re.compile(r"\.RC(\d+)", re.IGNORECASE)
_RELEASED = 9
# What TBE, the operator compiler behind ATC, imports with the system's python3 (documented; names of the modules).
_TBE_MODULES = (
    *("numpy", "decorator", "sympy", "cffi", "google.protobuf", "attr", "Cython", "yaml", "pathlib2"),
    *("scipy", "requests", "psutil", "absl"),
)
_TBE_PACKAGES = {
    "google.protobuf": "protobuf==3.20.*",
    "attr": "attrs",
    "Cython": "cython",
    "yaml": "pyyaml",
    "absl": "absl-py",
}
_IMPORT = (
    "import importlib, json, sys\nbroken = []\nfor name in sys.argv[1:]:\n"
    "    try:\n        importlib.import_module(name)\n    except Exception:\n        broken.append(name)\n"
    "numpy = sys.modules.get('numpy')\n"
    "print(json.dumps([sys.version.split()[0], getattr(numpy, '__version__', ''), broken]))"
)


def installation(patient: Patient, host: AscendHost, found: Mapping[str, str]) -> Section:
    """Return the checks that convert and infer share; ``found`` has the versions of Python and NumPy they run with."""
    probes = [functools.partial(_installed, patient, host)]
    if host.cann:
        probes += [
            functools.partial(_python, host.cann, found),
            functools.partial(_ops, patient, host.cann),
            functools.partial(_name, patient, host.cann),
            functools.partial(_python_path, patient, host.cann),
            functools.partial(_library_path, patient, host),
        ]
    probes.append(functools.partial(_logging, patient))
    return examine("CANN", probes)


def compiler(patient: Patient, host: AscendHost) -> List[Check]:
    """Return the checks of ATC: what only convert needs."""
    path = which(patient, "atc")
    if path is None:
        return [Check("atc", MISSING, "not on PATH", _no_atc(host.cann), ("convert",))]
    return [_atc(patient, host, path), *_tbe(patient, host.cann)]


def _installed(patient: Patient, host: AscendHost) -> List[Check]:
    cann = host.cann
    if cann is None:
        variable = patient.environ.get("ASCEND_HOME_PATH", "")
        if variable:
            found = f"ASCEND_HOME_PATH is {variable}, which is no folder"
            return [Check("CANN", WRONG, found, "source the set_env.sh of the installed version", ("convert", "infer"))]
        found = "none below /usr/local/Ascend or ~/Ascend, and ASCEND_HOME_PATH is not set"
        return [Check("CANN", MISSING, found, _INSTALL, ("convert", "infer"))]
    text = f"{cann.version or 'unknown version'}, {cann.package or 'unknown package'} in {cann.home}"
    checks = [Check("CANN", OK, text)]
    if cann.sourced:
        return [*checks, Check("set_env.sh", OK, f"ASCEND_HOME_PATH={cann.home}")]
    todo = _SET_ENV.format(home=_set_env_home(cann))
    return [*checks, Check("set_env.sh", MISSING, "ASCEND_HOME_PATH is not set", todo, ("convert", "infer"))]


def _set_env_home(cann: Cann) -> str:
    """Return the folder of set_env.sh: the installation's own, or the one above ``latest`` (up to 8.3)."""
    home = Path(cann.home)
    return str(home.parent if home.name == "latest" else home)


def supported(version: str) -> Optional[Tuple[Tuple[int, int], Tuple[int, int], str, str]]:
    """Return oldest and newest Python, oldest NumPy and the first too new one of a CANN version; None if unknown.

    >>> supported("8.0.RC2")[1]
    (3, 10)
    """
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is None:
        return None
    candidate = _RC.search(version)
    # Release candidates count 1, 2, 3; a release comes after all of them.
    key = (int(found.group(1)), int(found.group(2)), int(candidate.group(1)) if candidate else _RELEASED)
    return next((row[1:] for row in _TABLE if key >= row[0]), None)


def _python(cann: Cann, found: Mapping[str, str]) -> List[Check]:
    return _against_table(cann, found.get("python", ""), found.get("numpy", ""), "")


def _against_table(cann: Cann, python: str, numpy: str, whose: str) -> List[Check]:
    row = supported(cann.version)
    if row is None:
        return []
    oldest, newest, numpy_oldest, numpy_limit = row
    checks = []
    if python:
        checks.append(_range_of_python(cann, python, oldest, newest, whose))
    if numpy:
        if numbers(python) >= (3, 13) and cann.release == (8, 5):
            numpy_oldest, numpy_limit = "2.1", ""
        checks.append(_range_of_numpy(cann, numpy, numpy_oldest, numpy_limit, whose))
    return checks


def _range_of_python(cann: Cann, python: str, oldest: Tuple[int, int], newest: Tuple[int, int], whose: str) -> Check:
    span = f"{oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]}"
    name = f"Python{whose} for CANN"
    if oldest <= numbers(python)[:2] <= newest:
        return Check(name, OK, f"{python}; CANN {cann.version} documents {span}")
    todo = f"run convert and infer with Python {newest[0]}.{newest[1]} (VENV_PYTHON=python{newest[0]}.{newest[1]})"
    return Check(name, WRONG, f"{python}; CANN {cann.version} documents {span}", todo)


def _range_of_numpy(cann: Cann, numpy: str, oldest: str, limit: str, whose: str) -> Check:
    span = f"{oldest} or newer" + (f", below {limit}" if limit else "")
    name = f"NumPy{whose} for CANN"
    good = numbers(numpy) >= numbers(oldest) and (not limit or numbers(numpy) < numbers(limit))
    if good:
        return Check(name, OK, f"{numpy}; CANN {cann.version} documents {span}")
    wanted = f'"numpy>={oldest}' + (f',<{limit}"' if limit else '"')
    return Check(name, WRONG, f"{numpy}; CANN {cann.version} documents {span}", f"pip install {wanted}")


def _ops(patient: Patient, cann: Cann) -> List[Check]:
    """From 8.5 on the operators are a package of their own, one per chip, without which ATC fails."""
    if cann.release < (8, 5):
        return []
    wanted = operator_chips(patient.soc)
    package = f"Ascend-cann-{wanted[0] if wanted else '<chip>'}-ops_{cann.version}_linux-{platform.machine()}.run"
    if not cann.ops:
        return [Check("ops package", MISSING, "no ascend_ops_install.info", f"install {package}", ("convert",))]
    there = ", ".join(f"{version} of {chip or 'an unknown chip'}" for version, chip in zip(cann.ops, cann.ops_chips))
    known = [chip for chip in cann.ops_chips if chip]
    if wanted and known and not set(known) & set(wanted):
        found = f"{there}; {patient.soc} needs that of {wanted[0]}"
        return [Check("ops package", WRONG, found, f"install {package}", ("convert",))]
    if cann.version not in cann.ops:
        todo = "install toolkit and ops of one version"
        return [Check("ops package", WRONG, f"{there} beside toolkit {cann.version}", todo)]
    return [Check("ops package", OK, there)]


def _name(patient: Patient, cann: Cann) -> List[Check]:
    """Say what speaks against the name of the SOC; what npu-smi lists is looked at with the devices."""
    said = doubt(patient.soc, platforms(cann.home), cann.release)
    todo = "npu-smi info on the NPU host shows the name without Ascend"
    return [Check("SOC name", WRONG, said, todo)] if said else []


def _python_path(patient: Patient, cann: Cann) -> List[Check]:
    """``export PYTHONPATH=/my/repo`` after set_env.sh is the usual reason why ``import acl`` fails (observed)."""
    if not cann.sourced:
        return []
    entries = [os.path.normpath(entry) for entry in patient.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    wanted = os.path.normpath(f"{cann.home}/python/site-packages")
    if wanted in entries or os.path.realpath(wanted) in map(os.path.realpath, entries):
        return [Check("PYTHONPATH", OK, f"has {wanted}")]
    todo = f"{_SET_ENV.format(home=_set_env_home(cann))}, and only prepend: export PYTHONPATH=/mine:$PYTHONPATH"
    return [Check("PYTHONPATH", WRONG, f"lacks {wanted}: overwritten after set_env.sh", todo)]


def _library_path(patient: Patient, host: AscendHost) -> List[Check]:
    cann = host.cann
    entries = [entry for entry in patient.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if entry]
    stubs = [entry for entry in entries if {"devlib", "stub", "stubs"} & set(Path(entry).parts)]
    if stubs and host.nodes:
        found = f"has {stubs[0]}: stubs that answer every call with 100039"
        todo = "remove that folder from LD_LIBRARY_PATH; it is for compiling without a driver"
        return [Check("LD_LIBRARY_PATH", WRONG, found, todo, ("infer",))]
    if cann is None or not cann.sourced:
        return []
    if any(os.path.realpath(entry) == os.path.realpath(f"{cann.home}/lib64") for entry in entries):
        return [Check("LD_LIBRARY_PATH", OK, f"has {cann.home}/lib64")]
    todo = f"{_SET_ENV.format(home=_set_env_home(cann))} in this shell, and only prepend"
    return [Check("LD_LIBRARY_PATH", WRONG, f"lacks {cann.home}/lib64", todo)]


def _logging(patient: Patient) -> List[Check]:
    checks = []
    environ = patient.environ
    level = environ.get("ASCEND_GLOBAL_LOG_LEVEL", "")
    if level in ("0", "1"):
        kind = "DEBUG" if level == "0" else "INFO"
        checks.append(
            Check(
                "log level", WRONG, f"ASCEND_GLOBAL_LOG_LEVEL={level} ({kind}) costs time", _unset("GLOBAL_LOG_LEVEL")
            )
        )
    for name in ("SLOG_PRINT_TO_STDOUT", "LOG_PRINT_TO_STDOUT"):
        if environ.get(f"ASCEND_{name}") == "1":
            found = f"ASCEND_{name}=1 mixes the log with the tools' answers and writes no log files"
            checks.append(Check("log to stdout", WRONG, found, _unset(name)))
    if environ.get("DUMP_GE_GRAPH"):
        found = "is set: ATC writes large graph files into the current folder"
        checks.append(Check("DUMP_GE_GRAPH", WRONG, found, "unset DUMP_GE_GRAPH"))
    return checks


def _unset(name: str) -> str:
    return f"unset ASCEND_{name}"


def _no_atc(cann: Optional[Cann]) -> str:
    if cann is None:
        return _INSTALL
    if cann.package in ("nnrt", "nnae"):
        return f"{cann.package} has no ATC: convert where the toolkit is, or install the toolkit"
    return _SET_ENV.format(home=_set_env_home(cann))


def _atc(patient: Patient, host: AscendHost, path: str) -> Check:
    """``atc --help`` loads its libraries and leaves; that is where a host without a driver fails (code 127)."""
    code, text = patient.run([path, "--help"])
    if code == 0:
        return Check("atc", OK, path)
    todo = "source set_env.sh in this shell"
    if "libascend_hal.so" in text:
        home = host.cann.home if host.cann else "<CANN>"
        devlib = f"{home}/{platform.machine()}-linux/devlib"
        todo = f"to compile without a driver: export LD_LIBRARY_PATH={devlib}:$LD_LIBRARY_PATH"
    return Check("atc", WRONG, f"{path} --help ends with {code} ({last_line(text)})", todo, ("convert",))


def _tbe(patient: Patient, cann: Optional[Cann]) -> List[Check]:
    python = which(patient, "python3")
    if python is None:
        return [Check("ATC's python3", MISSING, "no python3 on PATH", "install it", ("convert",))]
    code, text = patient.run([python, "-c", _IMPORT, *_TBE_MODULES])
    try:
        version, numpy, broken = json.loads(last_line(text))
    except ValueError:
        found = f"{python} ends with {code} ({last_line(text)})"
        return [Check("ATC's python3", WRONG, found, "repair python3", ("convert",))]
    checks = _against_table(cann, version, numpy, " of ATC") if cann else []
    if not broken:
        return [*checks, Check("modules of ATC", OK, f"{python} has all {len(_TBE_MODULES)}")]
    packages = " ".join(_TBE_PACKAGES.get(name, name) for name in broken)
    found = f"{python} cannot import {', '.join(broken)}: ATC would say EC0010 or E40000"
    return [*checks, Check("modules of ATC", MISSING, found, f"{python} -m pip install {packages}", ("convert",))]
