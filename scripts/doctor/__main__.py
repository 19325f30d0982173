"""Says whether this host can run each stage, and what mends what is missing.

python -m scripts.doctor
python -m scripts.doctor --soc Ascend310P3 --json here.json
python -m scripts.doctor --compare there.json
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from clip2om.pipeline.ascend_host import AscendHost
from clip2om.pipeline.command import Parser, run, split_list
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.soc import AUTO, CPU
from clip2om.scripts.doctor.check import OK, STAGES, Patient, Section

VERSION = 1
_UNKNOWN = "Ascend"
_ON_CPU = ("preprocess", "convert", "infer", "postprocess")
# Graphs and batches can be made on another machine.
_ON_ASCEND = ("convert", "infer", "postprocess")
_EXPORT_PYTHON = Path(".venv/torch/bin/python")


def main(argv: Optional[List[str]] = None) -> int:
    """Run the script; see ``python -m scripts.doctor --help``."""
    args = _parser().parse_args(argv)
    return run("doctor", lambda: _doctor(args))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m scripts.doctor",
        description="Say whether this host can run each stage. Exit 2 where something is missing that --soc needs.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--soc", default=AUTO, metavar="SOC", help="auto (what npu-smi reports, else cpu), cpu, or e.g. Ascend310P3")
    add("--stages", default="", metavar="A,B", help="stages that must run here (default: those that --soc needs)")
    add("--json", metavar="FILE", help="write the checks and the facts of this host as JSON")
    add("--export-python", metavar="FILE", help=f"interpreter of the export stage (default: {_EXPORT_PYTHON}, if any)")
    add(
        *("--compare",),
        nargs="+",
        metavar="RECORD",
        help="show what differs from the host of a summary.json or --json file; of two records: between them",
    )
    return parser


def _doctor(args: argparse.Namespace) -> int:
    console = Console("doctor")
    if args.compare:
        return _compare(args.compare, console)
    patient, host, origin = _admit(args.soc)
    needed = _needed(args.stages, patient.soc)
    sections = diagnose(patient, host, _export_python(args.export_python, patient))
    if args.json:
        _write(args.json, patient, sections)
    _show(sections, console)
    return _verdict(sections, needed, f"{patient.soc}{origin}", console)


def diagnose(patient: Patient, host: AscendHost, export_python: Optional[str] = None) -> List[Section]:
    """Run every check that matters for ``patient.soc``; never raises.

    What there is of Ascend is shown on a CPU target too, but holds nothing up there.
    """
    from clip2om.scripts.doctor.cann import compiler, installation
    from clip2om.scripts.doctor.check import examine
    from clip2om.scripts.doctor.frameworks import frameworks
    from clip2om.scripts.doctor.npu import device, runners
    from clip2om.scripts.doctor.stages import everywhere, stage, versions

    found = versions(patient, patient.python)
    sections = [everywhere(patient)]
    stages = {name: stage(patient, name, patient.python, found) for name in STAGES}
    if export_python:
        stages["export"] = stage(patient, "export", export_python, versions(patient, export_python))
    if host or patient.soc != CPU:
        ascend = [installation(patient, host, found), device(patient, host)]
        tools = {
            "convert": examine("convert", [lambda: compiler(patient, host)]),
            "infer": examine("infer", [lambda: runners(patient)]),
        }
        if patient.soc == CPU:
            ascend = [_harmless(section) for section in ascend]
            tools = {name: _harmless(section) for name, section in tools.items()}
        sections += ascend
        for name, section in tools.items():
            stages[name] = Section(name, [*stages[name].checks, *section.checks])
    return [*sections, *stages.values(), frameworks(patient)]


def blockers(sections: List[Section], stage: str) -> List[str]:
    """Return the names of the checks that keep a stage from running."""
    checks = [check for section in sections for check in section.checks]
    return list(dict.fromkeys(check.name for check in checks if check.state != OK and stage in check.blocks))


def here() -> Dict[str, Any]:
    """Return the facts of this host as a run records them, with the versions of all libraries."""
    from clip2om.pipeline import ascend_host, facts
    from clip2om.scripts.doctor.stages import libraries

    return {**facts.host(), "versions": facts.versions(libraries()), "ascend": ascend_host.facts()}


def _admit(name: str) -> Tuple[Patient, AscendHost, str]:
    """Return the patient, what it has of Ascend, and in words where its SOC comes from."""
    from clip2om.pipeline import soc
    from clip2om.pipeline.npu_smi import soc_version

    patient = Patient(soc.resolve(name) if name != AUTO else CPU)
    host = patient.ascend()
    if name != AUTO:
        return patient, host, ""
    names = {soc_version(chip, os.environ) for chip in host.chips}
    if len(names) == 1:
        return dataclasses.replace(patient, soc=names.pop()), host, " (from npu-smi)"
    if names:
        return dataclasses.replace(patient, soc=_UNKNOWN), host, " (different chips: choose one with SOC=)"
    if host.npu_smi is not None:
        return dataclasses.replace(patient, soc=_UNKNOWN), host, " (npu-smi fails)"
    return patient, host, " (there is no npu-smi)"


def _needed(stages: str, soc: str) -> Tuple[str, ...]:
    chosen = tuple(split_list(stages))
    for name in chosen:
        if name not in STAGES:
            raise RequestError(f"{name!r} is not a stage", "--stages", f"choose from: {', '.join(STAGES)}")
    return chosen or (_ON_CPU if soc == CPU else _ON_ASCEND)


def _export_python(given: Optional[str], patient: Patient) -> Optional[str]:
    default = patient.project / _EXPORT_PYTHON
    return given or (str(default) if os.access(default, os.X_OK) else None)


def _harmless(section: Section) -> Section:
    return Section(section.title, [dataclasses.replace(check, blocks=()) for check in section.checks])


def _show(sections: List[Section], console: Console) -> None:
    width = max(len(check.name) for section in sections for check in section.checks)
    for section in sections:
        console.result(section.title)
        for check in section.checks:
            todo = f" -> {check.todo}" if check.todo else ""
            console.result(f"  {check.state:<8} {check.name:<{width}}  {check.found}{todo}")


def _verdict(sections: List[Section], needed: Tuple[str, ...], soc: str, console: Console) -> int:
    console.result(f"for {soc}:")
    failed = False
    for name in STAGES:
        names = blockers(sections, name)
        optional = "" if name in needed else ", not needed here"
        able = f"cannot run ({', '.join(names)})" if names else "can run"
        console.result(f"  {name:<12} {able}{optional}")
        failed = failed or bool(names and name in needed)
    return RequestError.exit_code if failed else 0


def _write(path: str, patient: Patient, sections: List[Section]) -> None:
    from clip2om.pipeline.artifact import write_json

    payload = {
        "soc": patient.soc,
        "stages": {name: blockers(sections, name) for name in STAGES},
        "checks": {section.title: [dataclasses.asdict(check) for check in section.checks] for section in sections},
        "host": here(),
    }
    write_json(path, "doctor", VERSION, payload)


def _compare(records: List[str], console: Console) -> int:
    from clip2om.scripts.doctor.hosts import host_block, show

    if len(records) > 2:
        raise RequestError(f"{len(records)} records given", "--compare", "pass one, or two to compare them")
    if len(records) == 2:
        show(console, records[0], records[1], host_block(records[0]), host_block(records[1]))
    else:
        show(console, records[0], "this host", host_block(records[0]), here())
    return 0


if __name__ == "__main__":
    sys.exit(main())
