"""A model quantized to int8 for the CPU, taken into use only if it is still good enough; both models side by side.

python -m scripts.quantize --model 3d_resnet --calibration build/3d_resnet/calibration --batches build/3d_resnet/batches

Both the float32 and the int8 model score the validation batches. Where the int8 model's top-1 accuracy over videos is
lower by more than --max-accuracy-drop, the exit code is 1, and an int8 model that is in use stays.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

from clip2om.pipeline.command import count, fraction, positive, run, shell, stage_parser
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError, ShortfallError
from clip2om.scripts.quantize.places import Places
from clip2om.scripts.shared.measuring import duration

if TYPE_CHECKING:
    from clip2om.convert.request import ConvertRequest
    from clip2om.pipeline.card import Card
    from clip2om.scripts.quantize.report import Comparison

_EXAMPLE = "python -m scripts.quantize --model 3d_resnet --calibration-clips 300 --max-accuracy-drop 0.01"


def main(argv: Optional[List[str]] = None) -> int:
    """Run the script; see ``python -m scripts.quantize --help``."""
    args = _parser().parse_args(argv)
    return run("quantize", lambda: _quantize(args))


def _parser() -> argparse.ArgumentParser:
    about = "Quantize a model to int8 and compare it with float32. Exit 1 if it loses more accuracy than allowed."
    parser = stage_parser("scripts.quantize", about, _EXAMPLE)
    add = parser.add_argument
    add("--graph", metavar="DIR", help="folder of the graph (default: BUILD/graph)")
    add("--calibration", metavar="DIR", help="batches of the training split (default: BUILD/calibration)")
    add("--calibration-clips", type=positive, metavar="N", help="clips to take value ranges from (default: 300)")
    add("--batches", metavar="DIR", help="batches of the validation split, with labels (default: BUILD/batches)")
    add("--batch", type=positive, metavar="N", help="clips per execution (default: that of the batches)")
    add("--build", metavar="DIR", help="compiled/ and scores/ of both models are in it (default: build/CARD)")
    add(
        "--max-accuracy-drop",
        type=fraction,
        default=0.01,
        metavar="X",
        help="top-1 over videos may be lower by X, 0 to 1 (default: 0.01, one point)",
    )
    add("--max-clips", type=count, default=0, metavar="N", help="judge by the first N clips of a video (0: all)")
    add("--seconds", type=duration, default=2.0, metavar="S", help="least time of one speed measurement (default: 2)")
    add("--rounds", type=positive, default=3, metavar="N", help="speed measurements of each model (default: 3)")
    add("--force", action="store_true", help="quantize again what is up to date")
    return parser


def _quantize(args: argparse.Namespace) -> int:
    from clip2om.convert.build import build
    from clip2om.convert.formats import INT8, require_int8
    from clip2om.convert.record import find_current
    from clip2om.pipeline import cards
    from clip2om.pipeline.artifact import folder_lock
    from clip2om.pipeline.undisturbed import undisturbed
    from clip2om.scripts.quantize import report as quantize_report

    console = Console("quantize", args.quiet)
    card = cards.load(args.model, args.set)
    places, request = _plan(args, card)
    with folder_lock(places.int8):
        in_use = not args.force and find_current(request, INT8, places.int8) is not None
        if in_use and quantize_report.is_current(places, args):
            console.say(f"up to date: {places.int8}")
            quantize_report.show(quantize_report.read(places.int8), console)
            return 0
        _float32(args, places, request)
        if not in_use and (args.force or find_current(request, INT8, places.candidate) is None):
            require_int8(request.graph, request.record.format)
            build(request, INT8, places.candidate, _command(args), Console("quantize", args.quiet, out=sys.stderr))
        model = places.int8 if in_use else places.candidate
        found = quantize_report.compare(places, model, card, args, console)
        quantize_report.show(found, console)
        _check(found, model)
        # Half of a new model beside half of an old one would be neither.
        with undisturbed():
            if not in_use:
                _take_into_use(places)
            quantize_report.write(found, places.int8)
    console.result(f"{places.int8}: int8, {found.calibration_clips} calibration clips, {_verdict(found)}")
    return 0


def _plan(args: argparse.Namespace, card: Card) -> "tuple[Places, ConvertRequest]":
    from clip2om.convert.calibration import USUAL, read_calibration
    from clip2om.convert.request import cpu_request, read_graph
    from clip2om.pipeline.manifest import read_manifest
    from clip2om.pipeline.places import build_folder
    from clip2om.pipeline.run_names import compiled_name
    from clip2om.pipeline.soc import CPU

    home = Path(args.build or build_folder(card.name))
    calibration, batches = Path(args.calibration or home / "calibration"), Path(args.batches or home / "batches")
    graph, record = read_graph(card, Path(args.graph or home / "graph"))
    judged = read_manifest(batches)
    request = cpu_request(card, graph, record, CPU, args.batch or judged.tensor.batch)
    request = replace(request, calibration=read_calibration(calibration, record, args.calibration_clips or USUAL))
    _check_apart(calibration, batches)
    name, int8 = (compiled_name(CPU, request.batch, int8=int8) for int8 in (False, True))
    compiled, scores = home / "compiled", home / "scores"
    places = Places(
        graph=graph.parent,
        calibration=calibration,
        batches=batches,
        float32=compiled / name,
        float32_scores=scores / name,
        int8=compiled / int8,
        int8_scores=scores / int8,
    )
    return places, request


def _check_apart(calibration: Path, batches: Path) -> None:
    """Refuse videos that are in both splits.

    Raises:
        RequestError: naming one.
    """
    from clip2om.pipeline.manifest import read_manifest

    shared = {video.id for video in read_manifest(calibration).videos}
    shared &= {video.id for video in read_manifest(batches).videos}
    if shared:
        raise RequestError(
            f"shares {len(shared)} videos with {batches}, {min(shared)!r} among them: a model must not be judged by "
            "what it was calibrated with",
            calibration,
            "preprocess the training split into one of them and the validation split into the other",
        )


def _float32(args: argparse.Namespace, places: Places, request: ConvertRequest) -> None:
    """Bring the float32 model up to date."""
    from clip2om.convert.build import build
    from clip2om.convert.formats import OPENVINO
    from clip2om.convert.record import find_current

    plain = replace(request, calibration=None)
    if find_current(plain, OPENVINO, places.float32) is None:
        words = ["python", "-m", "convert", "--model", args.model, *_overrides(args), "--soc", plain.soc]
        words += ["--graph", str(places.graph), "--batch", str(plain.batch), "--output", str(places.float32)]
        build(plain, OPENVINO, places.float32, shell(words), Console("quantize", args.quiet, out=sys.stderr))


def _check(found: Comparison, model: Path) -> None:
    """Hold the int8 model to the accuracy it may lose.

    Raises:
        ShortfallError: it loses more; with both figures.
    """
    if found.drop > found.max_drop:
        raise ShortfallError(
            f"top-1 accuracy is {found.float32.accuracy:.4f} in float32 and {found.int8.accuracy:.4f} in int8, lower "
            f"by {found.drop:.4f}, allowed were {found.max_drop:.4f}; nothing was replaced",
            model,
            "use more calibration clips, or allow more with --max-accuracy-drop",
        )


def _take_into_use(places: Places) -> None:
    """Move the candidate to its place, the record last; its scores too, where there are none that could be in use."""
    import os
    import shutil

    from clip2om.pipeline.records import CompiledRecord, read_record

    record = read_record(places.candidate / "model.json", CompiledRecord, "run again")
    (places.int8 / "model.json").unlink(missing_ok=True)
    for name in (*record.files, "model.json"):
        os.replace(places.candidate / name, places.int8 / name)
    if not places.int8_scores.exists():
        places.int8_scores.parent.mkdir(parents=True, exist_ok=True)
        os.replace(places.candidate / "scores", places.int8_scores)
    shutil.rmtree(places.candidate)


def _verdict(found: Comparison) -> str:
    return f"top-1 {found.int8.accuracy:.4f} against {found.float32.accuracy:.4f}, at most {found.max_drop:.4f} lower"


def _command(args: argparse.Namespace) -> str:
    """Return the command that repeats this, for the record."""
    words = ["python", "-m", "scripts.quantize", "--model", args.model, *_overrides(args)]
    for name in ("graph", "calibration", "calibration_clips", "batches", "batch", "build", "max_accuracy_drop"):
        value = getattr(args, name)
        words += [] if value is None else [f"--{name.replace('_', '-')}", str(value)]
    return shell(words)


def _overrides(args: argparse.Namespace) -> List[str]:
    return [word for entry in args.set for word in ("--set", entry)]


if __name__ == "__main__":
    sys.exit(main())
