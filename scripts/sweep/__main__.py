"""Throughput and latency of a model at several batch sizes, on any device, and which size is best.

python -m scripts.sweep --model 3d_resnet --soc cpu --batches 1,2,4,8,10,16

Compiles the graph once per batch size (what is up to date is kept) and runs random clips through each model, all sizes
in turn and several times over, so that a change of the machine's speed does not favour one of them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Optional, Tuple

from clip2om.pipeline.command import positive, run, stage_parser
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.scripts.shared.measuring import duration

if TYPE_CHECKING:
    from clip2om.infer.engines.base import Options
    from clip2om.infer.job import Job
    from clip2om.pipeline.card import Card
    from clip2om.pipeline.records import Throughput
    from clip2om.scripts.sweep.report import Point

_EXAMPLE = "python -m scripts.sweep --model 3d_resnet --soc Ascend310P3 --batches 1,2,4,8,10,16"
_INTERRUPTED = 130
_NO_MEMORY = "the memory does not suffice for its clips"


def main(argv: Optional[List[str]] = None) -> int:
    """Run the script; see ``python -m scripts.sweep --help``."""
    args = _parser().parse_args(argv)
    return run("sweep", lambda: _sweep(args))


def _parser() -> argparse.ArgumentParser:
    about = "Measure a model at several batch sizes. Exit 0 if at least one of them could be measured."
    parser = stage_parser("scripts.sweep", about, _EXAMPLE)
    add = parser.add_argument
    add("--batches", type=_sizes, default=(1, 2, 4, 8, 10, 16), metavar="N,N", help="default: 1,2,4,8,10,16")
    add("--soc", default="auto", metavar="SOC", help="cpu, Ascend310P3, ... or auto (default: auto)")
    add("--graph", metavar="DIR", help="folder of the graph, best with an open batch size (default: build/CARD/graph)")
    add("--compiled", metavar="DIR", help="folder above the compiled models SOC-bN (default: build/CARD/compiled)")
    add("--output", metavar="DIR", help="sweep.json, sweep.svg and the random clips (default: build/CARD/sweep/SOC)")
    add("--seconds", type=duration, default=2.0, metavar="S", help="least time of one measurement (default: 2)")
    add("--rounds", type=positive, default=3, metavar="N", help="measurements of each size (default: 3)")
    add("--engine", default="auto", metavar="NAME", help="as for python -m infer (default: auto)")
    add("--devices", type=_numbers, default=(), metavar="N,N", help="NPUs, e.g. 0,1 (default: 0)")
    add("--precision", choices=("f32", "bf16"), default="f32", help="of the arithmetic (default: f32)")
    add("--streams", type=positive, metavar="N", help="batches computed at the same time (default: the engine's)")
    add("--requests", type=positive, metavar="N", help="batches in flight (default: the engine's)")
    add("--no-plot", action="store_true", help="leave out sweep.svg")
    return parser


def _sweep(args: argparse.Namespace) -> int:
    from clip2om.infer.engines.base import Options
    from clip2om.pipeline import cards, facts, soc
    from clip2om.pipeline.artifact import folder_lock, remove_partials
    from clip2om.pipeline.places import build_folder
    from clip2om.scripts.sweep import report as sweep_report

    console = Console("sweep", args.quiet)
    card = cards.load(args.model, args.set)
    target = soc.resolve(args.soc)
    home = build_folder(card.name)
    output = Path(args.output or home / "sweep" / target)
    options = Options(args.precision, args.streams, args.requests, args.devices)
    with folder_lock(output):
        remove_partials(output)
        jobs, failed = _prepare(args, card, target, Path(args.compiled or home / "compiled"), output)
        if not jobs:
            raise RequestError("no batch size can be measured", output, "the lines above say why")
        found = _measure_all(args, jobs, options, output, failed, console)
        sweep = sweep_report.assemble(card, target, args.precision, found, failed, facts.host())
        sweep_report.write(sweep, output)
        sweep_report.show(sweep, output, console)
        if not args.no_plot:
            sweep_report.plot(sweep, output, console)
    return 0


def _prepare(
    args: argparse.Namespace, card: Card, target: str, compiled: Path, output: Path
) -> Tuple[Dict[int, Job], Dict[int, str]]:
    """Compile the model and write clips for every batch size; return what can be run, and why the rest cannot."""
    from clip2om.infer.job import load_job, read_model
    from clip2om.scripts.shared.synthetic import write_random_batches

    jobs: Dict[int, Job] = {}
    failed: Dict[int, str] = {}
    for batch in args.batches:
        folder = compiled / f"{target}-b{batch}"
        if not _convert(args, batch, target, folder):
            failed[batch] = "it cannot be compiled"
            continue
        (spec,) = read_model(folder).inputs
        try:
            write_random_batches(output / f"b{batch}" / "batches", card, spec.with_batch(batch))
        except MemoryError:
            failed[batch] = _NO_MEMORY
            continue
        jobs[batch] = load_job(folder, output / f"b{batch}" / "batches")
    return jobs, failed


def _convert(args: argparse.Namespace, batch: int, target: str, folder: Path) -> bool:
    """Run the convert stage for one batch size; its own line says what goes wrong."""
    from clip2om.convert.__main__ import main as convert

    words = ["--model", args.model, *(word for entry in args.set for word in ("--set", entry)), "--quiet"]
    words += ["--graph", args.graph] if args.graph else []
    code = convert([*words, "--soc", target, "--batch", str(batch), "--output", str(folder)])
    if code == _INTERRUPTED:
        raise KeyboardInterrupt
    return code == 0


def _measure_all(
    args: argparse.Namespace,
    jobs: Dict[int, Job],
    options: Options,
    output: Path,
    failed: Dict[int, str],
    console: Console,
) -> List[Point]:
    """Measure all sizes in turn; one that cannot be run is noted in ``failed``, the others go on.

    Raises:
        RequestError: none can be run; what stopped the first one.
    """
    from clip2om.scripts.shared.measuring import loops_for, measure
    from clip2om.scripts.sweep.report import Point

    loops: Dict[int, int] = {}
    runs: Dict[int, List[Throughput]] = {batch: [] for batch in jobs}
    names: Dict[int, str] = {}
    stopped: List[RequestError] = []
    with console.progress(args.rounds * len(jobs), "measurements") as progress:
        for _ in range(args.rounds):
            for batch in list(runs):
                job, folder = jobs[batch], output / f"b{batch}"
                try:
                    if batch not in loops:
                        loops[batch] = loops_for(args.seconds, measure(args.engine, job, options, folder, 1)[0])
                    figures, names[batch] = measure(args.engine, job, options, folder, loops[batch])
                    runs[batch].append(figures)
                except RequestError as error:
                    stopped.append(error)
                    failed[batch] = error.line()
                    del runs[batch]
                progress.advance()
    if not runs:
        raise stopped[0]
    return [Point.of(batch, names[batch], figures) for batch, figures in runs.items()]


def _sizes(text: str) -> Tuple[int, ...]:
    """Argparse type: batch sizes, each once, in ascending order."""
    sizes = {positive(word) for word in text.split(",")}
    if len(sizes) < len(text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} names a batch size twice")
    return tuple(sorted(sizes))


def _numbers(text: str) -> Tuple[int, ...]:
    """Argparse type: device numbers with commas between them, each once."""
    words = text.split(",")
    if not all(word.isdigit() for word in words) or len(set(words)) < len(words):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of different device numbers such as 0,1")
    return tuple(int(word) for word in words)


if __name__ == "__main__":
    sys.exit(main())
