"""What a person with an NPU runs once: compile the demo model, run it on a device, compare with the CPU, print a page.

python -m scripts.npu_selftest
python -m scripts.npu_selftest --soc Ascend310P3 --device 1

Graph, batches and the CPU's scores are taken from build/3d_resnet_demo where they are there already, so they can be
made on another machine (make accuracy MODEL=3d_resnet_demo SOC=cpu) and copied.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from clip2om.pipeline.command import Parser, count, fraction, run
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError, ShortfallError
from clip2om.scripts.npu_selftest.page import Figures, figures, page
from clip2om.scripts.npu_selftest.steps import MODEL, Runner, compile_for, prepare, score

VERSION = 1
_STAGES = "convert,infer,postprocess"
# float16 arithmetic against float32 on a small network: chosen by this project, not published anywhere.
_MIN_COSINE = 0.999
_MIN_AGREEMENT = 0.98


def main(argv: Optional[List[str]] = None) -> int:
    """Run the script; see ``python -m scripts.npu_selftest --help``."""
    args = _parser().parse_args(argv)
    return run("npu-selftest", lambda: _selftest(args))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m scripts.npu_selftest",
        description="Check this host's NPU with the demo model and print one page to send back. "
        "Exit 0: all is well; 1: the NPU's scores differ too much from the CPU's; 2: a step failed.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--soc", default="auto", metavar="SOC", help="default: what npu-smi reports")
    add("--device", type=count, default=0, metavar="N", help="number of the NPU, as ACL counts (default: 0)")
    add("--build", metavar="DIR", help=f"graph, batches and CPU scores of the demo model (default: build/{MODEL})")
    add(
        "--output",
        metavar="DIR",
        help="what the test makes; page and record lie beside it (default: build/npu-selftest)",
    )
    add(
        "--export-python", metavar="FILE", help="interpreter with PyTorch, if there is no graph yet (default: this one)"
    )
    add("--min-cosine", type=fraction, default=_MIN_COSINE, metavar="X", help="of the outputs (default: %(default)s)")
    add(
        *("--min-agreement",),
        type=fraction,
        default=_MIN_AGREEMENT,
        metavar="X",
        help="share of clips with the CPU's best class (default: %(default)s)",
    )
    add("--quiet", action="store_true", help="only the page")
    return parser


def _selftest(args: argparse.Namespace) -> int:
    from clip2om.pipeline import soc
    from clip2om.pipeline.artifact import folder_lock
    from clip2om.pipeline.places import build_folder

    target = soc.resolve(args.soc)
    if target == soc.CPU:
        raise RequestError(
            "there is no NPU to test: npu-smi is not on PATH",
            "--soc",
            "run make doctor, or name the SOC: SOC=Ascend310P3",
        )
    build = Path(args.build or build_folder(MODEL)).resolve()
    output = Path(args.output or Path("build", "npu-selftest")).resolve()
    console = Console("npu-selftest", args.quiet)
    with folder_lock(output):
        runner = Runner(output, console)
        complaints = _ask_doctor(runner, target)
        runs = _run_all(runner, build, target, args)
        failed = [step for step in runner.steps if not step.ok and step.name != "doctor"]
        verdict, code = _verdict(runs, bool(failed), args)
        _report(output, verdict, target, complaints, runner, runs, console)
    return code


def _ask_doctor(runner: Runner, target: str) -> List[str]:
    """Return what the doctor finds wrong, one line each; the test goes on whatever that is."""
    from clip2om.pipeline.artifact import load_json

    record = runner.folder / "doctor.json"
    record.unlink(missing_ok=True)
    runner.stage("doctor", "scripts.doctor", "--soc", target, "--stages", _STAGES, "--json", record)
    if not record.is_file():
        return [f"failed: {runner.steps[-1].said}"]
    stages: Dict[str, List[str]] = load_json(record, "")["stages"]
    checks = [check for section in load_json(record, "")["checks"].values() for check in section]
    holding = {name for stage in _STAGES.split(",") for name in stages[stage]}
    lines = [f"{check['state']} {check['name']}: {check['found']}" for check in checks if check["name"] in holding]
    wrong = [check for check in checks if check["state"] == "wrong" and check["name"] not in holding]
    return [*dict.fromkeys(lines), *[f"to look at: {check['name']}: {check['found']}" for check in wrong]]


def _run_all(runner: Runner, build: Path, target: str, args: argparse.Namespace) -> List[Figures]:
    """Run what can be run, the CPU first; a run whose steps fail leaves them in ``runner`` and has no figures."""
    if not prepare(runner, build, args.export_python):
        return []
    reference = _reference(runner, build)
    runs = [] if reference is None else [figures("cpu", *reference, None)]
    compiled = compile_for(runner, build, target)
    if compiled is None:
        return runs
    for engine in _engines():
        options = ("--engine", engine, "--devices", args.device)
        if score(runner, engine, build, compiled, options):
            folders = (runner.folder / "scores" / engine, runner.folder / "results" / engine)
            runs.append(figures(engine, *folders, reference[1] if reference else None))
    return runs


def _reference(runner: Runner, build: Path) -> Optional[Tuple[Path, Path]]:
    """Return score and result folder of the CPU: those that came with the batches, else made here."""
    for results in sorted((build / "results").glob("cpu-b*")):
        scores = build / "scores" / results.name
        if _is_current(build, scores, results):
            return scores, results
    compiled = compile_for(runner, build, "cpu")
    if compiled is None or not score(runner, "cpu", build, compiled, ()):
        return None
    return runner.folder / "scores" / "cpu", runner.folder / "results" / "cpu"


def _is_current(build: Path, scores: Path, results: Path) -> bool:
    """True where the CPU's scores are of these very batches and of this very graph."""
    from clip2om.pipeline.artifact import sha256_file
    from clip2om.pipeline.records import CompiledRecord, GraphRecord, Summary, find_record

    summary = find_record(scores / "summary.json", Summary)
    compiled = find_record(build / "compiled" / results.name / "model.json", CompiledRecord)
    graph = find_record(build / "graph" / "model.json", GraphRecord)
    if summary is None or compiled is None or graph is None or not (results / "scores.npz").is_file():
        return False
    same_batches = summary.manifest_sha256 == sha256_file(build / "batches" / "manifest.json")
    return same_batches and summary.model_sha256 == compiled.sha256 and compiled.graph_sha256 == graph.sha256


def _engines() -> List[str]:
    from importlib.util import find_spec

    return ["acl", *(["ais_bench"] if find_spec("ais_bench") and find_spec("aclruntime") else [])]


def _verdict(runs: List[Figures], failed: bool, args: argparse.Namespace) -> Tuple[str, int]:
    compared = [(found.name, found.agreement) for found in runs if found.agreement]
    far = [
        f"{name}: cosine {found.cosine:.9f} (at least {args.min_cosine}), same clips {found.clips:.2%} "
        f"(at least {args.min_agreement:.0%})"
        for name, found in compared
        if found.cosine < args.min_cosine or found.clips < args.min_agreement
    ]
    if failed or not compared:
        return "FAILED, see the steps", RequestError.exit_code
    if far:
        return f"FELL SHORT, {'; '.join(far)}", ShortfallError.exit_code
    return "PASSED", 0


def _report(
    output: Path,
    verdict: str,
    target: str,
    complaints: List[str],
    runner: Runner,
    runs: List[Figures],
    console: Console,
) -> None:
    from clip2om.pipeline.artifact import clean_folder, write_json, write_text
    from clip2om.scripts.doctor.__main__ import here

    host = here()
    text = page(verdict, target, host, complaints, runner.steps, runs)
    payload = {
        "verdict": verdict,
        "soc": target,
        "host": host,
        "doctor": complaints,
        "steps": [dataclasses.asdict(step) for step in runner.steps],
        "runs": [dataclasses.asdict(found) for found in runs],
    }
    record = output.with_name(f"{output.name}.json")
    with clean_folder(output.parent):
        write_json(record, "npu-selftest", VERSION, payload)
        write_text(output.with_name(f"{output.name}.txt"), text)
    for line in text.splitlines():
        console.result(line)
    console.result()
    console.result(f"please send back this page and {os.path.relpath(record)}")


if __name__ == "__main__":
    sys.exit(main())
