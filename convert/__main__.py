"""Command line of the convert stage."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import List, Optional

from pipeline.command import positive, run, stage_parser
from pipeline.console import Console

_EXAMPLE = "python -m convert --model 3d_resnet --soc cpu --batch 10"


def main(argv: Optional[List[str]] = None) -> int:
    """Run the stage; see ``python -m convert --help``."""
    args = _parser().parse_args(argv)
    return run("convert", lambda: _convert(args))


def _parser() -> argparse.ArgumentParser:
    parser = stage_parser("convert", "Compile a graph for the device that will run it.", _EXAMPLE)
    add = parser.add_argument
    add("--graph", metavar="DIR", help="folder of the graph and its model.json (default: build/CARD/graph)")
    add("--soc", default="auto", metavar="SOC", help="cpu, or auto: what npu-smi reports, else cpu (default: auto)")
    add("--batch", type=positive, metavar="N", help="clips per execution (default: the graph's, else the card's)")
    add("--output", metavar="DIR", help="folder of the compiled model (default: build/CARD/compiled/SOC-bN)")
    add("--format", choices=("auto", "openvino", "onnx"), default="auto", help="auto: openvino where it is installed")
    add("--force", action="store_true", help="compile again what is up to date")
    return parser


def _convert(args: argparse.Namespace) -> int:
    from convert.build import build
    from convert.formats import candidates
    from convert.request import find_current, make_request
    from pipeline import card as cards
    from pipeline import soc

    console = Console("convert", args.quiet)
    card = cards.load(args.model, args.set)
    target = _supported(soc.resolve(args.soc))
    home = cards.ROOT / "build" / card.name
    request = make_request(card, Path(args.graph or home / "graph"), target, args.batch)
    output = Path(args.output or home / "compiled" / f"{target}-b{request.batch}")
    formats = candidates(args.format, console)
    for index, chosen in enumerate(formats):
        current = None if args.force else find_current(request, chosen, output)
        if current is not None:
            console.say(f"up to date: {output / current.file}")
            return 0
        command = _command(args, request.batch, target, chosen.name)
        if build(request, chosen, output, command, console, last=index == len(formats) - 1):
            break
    return 0


def _supported(target: str) -> str:
    from pipeline.errors import RequestError
    from pipeline.soc import CPU

    if target != CPU:
        raise RequestError(
            f"compiling for {target} takes ATC, which is not in this release", "--soc", "SOC=cpu (--soc cpu) works"
        )
    return target


def _command(args: argparse.Namespace, batch: int, target: str, form: str) -> str:
    """Return the command that repeats this conversion: paths as they were given, everything else resolved."""
    from pipeline.command import shell

    parts = ["python", "-m", "convert", "--model", args.model]
    for entry in args.set:
        parts += ["--set", entry]
    if args.graph:
        parts += ["--graph", args.graph]
    parts += ["--soc", target, "--batch", str(batch), "--format", form]
    if args.output:
        parts += ["--output", args.output]
    return shell(parts)


if __name__ == "__main__":
    sys.exit(main())
