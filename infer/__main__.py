"""Command line of the infer stage."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Tuple

from clip2om.pipeline.command import count, positive, run, stage_parser
from clip2om.pipeline.console import Console

if TYPE_CHECKING:
    from clip2om.infer.engines.base import Backend
    from clip2om.infer.job import Job
    from clip2om.infer.run import RunOptions

_EXAMPLE = "python -m infer --model 3d_resnet --soc cpu --batch 10"


def main(argv: Optional[List[str]] = None) -> int:
    """Run the stage; see ``python -m infer --help``."""
    args = make_parser().parse_args(argv)
    return run("infer", lambda: infer(args))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the stage."""
    parser = stage_parser(
        "infer", "Run batches through a compiled model, keep the scores, measure the speed.", _EXAMPLE
    )
    add = parser.add_argument
    add("--compiled", metavar="DIR", help="folder of the compiled model (default: build/CARD/compiled/SOC-bN)")
    add("--batches", metavar="DIR", help="folder of the batches (default: build/CARD/batches)")
    add(
        "--output",
        metavar="DIR",
        help="folder of the scores (default: build/CARD/scores/SOC-bN...)",
    )
    add(
        "--soc",
        default="auto",
        metavar="SOC",
        help="chooses the default folders: cpu, Ascend310P3, ... or auto (default: auto)",
    )
    add("--batch", type=positive, metavar="N", help="chooses the default folders (default: the card's)")
    add(
        "--engine",
        default="auto",
        metavar="NAME",
        help="openvino, onnxruntime, mindspore, acl, ais_bench, msame or auto (default)",
    )
    add(
        "--precision",
        choices=("f32", "bf16", "int8"),
        help="of the arithmetic; int8 takes a quantized model (default: the model's own, f32 or int8)",
    )
    add("--streams", type=positive, metavar="N", help="batches computed at the same time (default: the engine's)")
    add("--devices", type=_devices, default=(), metavar="N,N", help="NPUs to share the batches, e.g. 0,1 (default: 0)")
    add("--requests", type=positive, metavar="N", help="batches in flight (default: the engine's)")
    add("--warmup", type=count, default=1, metavar="N", help="batches per request before the clock starts (default: 1)")
    add("--loop", type=positive, metavar="N", help="only measure: all batches N times, no scores, benchmark.json")
    add("--output-format", choices=("bin", "npy", "txt"), default="bin", help="of the score files (default: bin)")
    add("--verify", dest="verify", action="store_true", default=True, help=argparse.SUPPRESS)
    add("--no-verify", dest="verify", action="store_false", help="do not compare batches with the manifest's SHA-256")
    add("--force", action="store_true", help="score again what is up to date")
    return parser


def _devices(text: str) -> Tuple[int, ...]:
    """Argparse type: device numbers with commas between them, each once."""
    words = text.split(",")
    if not all(word.isdigit() for word in words) or len(set(words)) < len(words):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of different device numbers such as 0,1")
    return tuple(int(word) for word in words)


def infer(args: argparse.Namespace) -> int:
    """Score the batches that ``args`` name, or measure; what is up to date is kept."""
    from clip2om.infer.engines.base import EngineMissingError, Options, arithmetic
    from clip2om.infer.engines.select import choose
    from clip2om.infer.job import load_job
    from clip2om.infer.run import RunOptions

    console = Console("infer", args.quiet)
    compiled, batches, output = _folders(args)
    job = load_job(compiled, batches)
    _warn_cards(job, console)
    options = RunOptions(args.warmup, args.verify, args.force, args.loop or 0, args.output_format)
    choices = choose(args.engine, job.record, compiled)
    for index, choice in enumerate(choices):
        chosen = Options(arithmetic(args.precision, job.record, compiled), args.streams, args.requests, args.devices)
        engine = choice.engine(compiled, job.record, chosen)
        console.say(f"engine {engine.name} {engine.version()}, {engine.precision} ({choice.reason})")
        try:
            return _carry_out(job, engine, output, options, console)
        except EngineMissingError as error:
            if index == len(choices) - 1:
                raise
            console.warn(f"{error.what}; trying {choices[index + 1].engine.name}")
    return 0


def _folders(args: argparse.Namespace) -> Tuple[Path, Path, Path]:
    from clip2om.pipeline import cards, run_names, soc
    from clip2om.pipeline.errors import RequestError
    from clip2om.pipeline.places import build_folder

    card = cards.load(args.model, args.set)
    home = build_folder(card.name)
    name, scored = "", ""
    if not (args.compiled and args.output):
        target, batch = soc.resolve(args.soc), args.batch or card.input.batch
        name = run_names.compiled_name(target, batch, int8=args.precision == "int8")
        scored = run_names.scored_name(name, args.precision, args.engine, args.devices)
    batches = Path(args.batches or home / "batches")
    output = Path(args.output or home / "scores" / scored)
    if output.resolve() == batches.resolve():
        raise RequestError("scores cannot lie in the folder of the batches", output, "choose another --output")
    return Path(args.compiled or home / "compiled" / name), batches, output


def _warn_cards(job: Job, console: Console) -> None:
    if job.manifest.card != job.record.card:
        console.warn(f"the batches were made with card {job.manifest.card}, the model with {job.record.card}")
    if job.record.transform_digest not in ("", job.manifest.transform_digest):
        console.warn("the batches were made with another transform than the model's card has: expect wrong answers")
    if not job.record.labels_digest:
        console.warn(
            "nobody has said in which order the model's classes are: that of the batches' annotation is taken; "
            "name the list of the training with --set dataset.labels=NAME when you convert"
        )


def _carry_out(job: Job, engine: Backend, output: Path, options: RunOptions, console: Console) -> int:
    from clip2om.infer.benchmark import benchmark
    from clip2om.infer.report import show, show_observed
    from clip2om.infer.run import find_current
    from clip2om.infer.run import run as run_job

    if options.loops:
        show(benchmark(job, engine, output, options, console), console, benchmark=True)
        return 0
    if not options.force and find_current(job, engine, output, options) is not None:
        console.say(f"up to date: {output}")
        return 0
    summary = run_job(job, engine, output, options, console)
    console.result(
        f"{output}: {len(summary.files)} score files, {summary.engine} {summary.engine_version} on {summary.device}"
    )
    if summary.throughput is not None:
        show(summary.throughput, console)
        show_observed(summary.observed, console)
    else:
        console.result("every batch was kept from an interrupted run; --loop measures the speed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
