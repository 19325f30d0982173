"""Framework, graph and compiled model on the same clips: how far apart they are, and where they part.

python -m scripts.parity --model 3d_resnet --clips 40

The framework and the graph run in the framework's own environment (python -m export.run), the compiled model here
(python -m infer); the three folders of scores are then compared. On a host without the framework, copy the parity
folder from one that has it and add --keep-reference.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

from clip2om.pipeline.command import fraction, positive, run, stage_parser
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError, ShortfallError

if TYPE_CHECKING:
    from clip2om.pipeline.card import Card
    from clip2om.scripts.parity.compare import Step

_ABOUT = "Compare a model in its framework, as a graph and compiled, on the same clips. Exit 1 if two of them differ."
_EXAMPLE = "python -m scripts.parity --model 3d_resnet --compiled build/3d_resnet/compiled/cpu-b10 --clips 40"


def main(argv: Optional[List[str]] = None) -> int:
    """Run the script; see ``python -m scripts.parity --help``."""
    args = _parser().parse_args(argv)
    return run("parity", lambda: _parity(args))


def _parser() -> argparse.ArgumentParser:
    parser = stage_parser("scripts.parity", _ABOUT, _EXAMPLE)
    add = parser.add_argument
    add("--graph", type=Path, metavar="DIR", help="folder of the graph (default: build/CARD/graph)")
    add("--batches", type=Path, metavar="DIR", help="folder of the batches (default: build/CARD/batches)")
    add("--compiled", type=Path, metavar="DIR", help="the compiled model (default: build/CARD/compiled/cpu-b<batch>)")
    add("--output", type=Path, metavar="DIR", help="clips, scores and parity.json (default: build/CARD/parity)")
    add("--checkpoint", metavar="FILE", help="trained weights (default: those the graph was made from)")
    add("--clips", type=positive, default=20, metavar="N", help="first N clips, in whole batches (default: 20)")
    add("--engine", default="auto", metavar="NAME", help="engine of the compiled model (default: auto)")
    add("--precision", metavar="NAME", help="f32 or bf16, of the compiled model's arithmetic (default: f32)")
    add("--devices", metavar="N,N", help="NPUs to share the batches (default: 0)")
    add(
        *("--export-python",),
        metavar="FILE",
        help="interpreter that has the framework (default: the one in .venv, else this one)",
    )
    add("--allow-code", action="store_true", help="run the code that the card names as its network")
    add("--keep-reference", action="store_true", help="take framework's and graph's scores as they are in --output")
    add("--force", action="store_true", help="run again what is up to date")
    limits = parser.add_argument_group(
        "limits",
        "of each step; by default strict for float32 and wider where the compiled model computes in half precision or "
        "in int8",
    )
    add = limits.add_argument
    add("--max-diff", type=_limit, metavar="X", help="largest difference, relative to max(1, largest output)")
    add("--min-cosine", type=fraction, metavar="X", help="of all outputs")
    add("--min-top1", type=fraction, metavar="X", help="share of clips with the same best class")
    return parser


def _limit(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return value


def _parity(args: argparse.Namespace) -> int:
    from clip2om.pipeline import cards
    from clip2om.pipeline.places import build_folder
    from clip2om.pipeline.records import CompiledRecord, read_record
    from clip2om.scripts.parity import compare as compare
    from clip2om.scripts.parity.clips import first_clips

    console = Console("parity", args.quiet)
    card = cards.load(args.model, args.set)
    home = build_folder(card.name)
    compiled = args.compiled or home / "compiled" / f"cpu-b{card.input.batch}"
    output = args.output or home / "parity"
    scores = output / compiled.name
    # Before the framework runs, which may take minutes.
    read_record(compiled / "model.json", CompiledRecord, "run make om, or pass --compiled DIR")
    if not args.keep_reference:
        first_clips(args.batches or home / "batches", output / "batches", args.clips)
        code = _score_reference(args, card, args.graph or home / "graph", output)
        if code:
            return code
    code = _score_compiled(args, compiled, output, scores)
    if code:
        return code
    sides = [compare.read_side(name, output / name) for name in ("framework", "graph")]
    sides.append(compare.read_side("compiled", scores))
    report = compare.compare(card.name, output / "batches", sides, compare.Wanted(*_wanted(args)))
    compare.write(scores / "parity.json", report)
    compare.show(report, console)
    console.result(f"record  {scores / 'parity.json'}")
    _judge([step for step in report.steps if not step.passed], scores)
    return 0


def _wanted(args: argparse.Namespace) -> List[Optional[float]]:
    return [args.max_diff, args.min_cosine, args.min_top1]


def _judge(missed: List[Step], where: Path) -> None:
    """Refuse steps beyond their limits.

    Raises:
        ShortfallError: with the figures found and the figures asked for, of the first step that differs.
    """
    if missed:
        raise ShortfallError("; ".join(step.complaint() for step in missed), where, missed[0].todo())


def _score_reference(args: argparse.Namespace, card: Card, graph: Path, output: Path) -> int:
    words: List[object] = ["--graph", graph, "--batches", output / "batches", "--output", output]
    words += ["--checkpoint", args.checkpoint] if args.checkpoint else []
    words += ["--allow-code"] if args.allow_code else []
    return _call(args, _export_python(args, card), "export.run", words)


def _score_compiled(args: argparse.Namespace, compiled: Path, output: Path, scores: Path) -> int:
    words: List[object] = [
        "--compiled",
        compiled,
        "--batches",
        output / "batches",
        "--output",
        scores,
        "--engine",
        args.engine,
    ]
    words += ["--precision", args.precision] if args.precision else []
    words += ["--devices", args.devices] if args.devices else []
    return _call(args, sys.executable, "infer", [*words, "--warmup", 0])


def _call(args: argparse.Namespace, python: str, module: str, words: List[object]) -> int:
    """Run a command as its user would; what it says goes to stderr, and its error is ours."""
    from clip2om.pipeline.processes import environment, module_command

    common = [*["--model", args.model], *[word for entry in args.set for word in ("--set", entry)]]
    common += [option for option, given in (("--quiet", args.quiet), ("--force", args.force)) if given]
    command = [*module_command(python, module), *common, *map(str, words)]
    try:
        # Its tables are not this command's result.
        done = subprocess.run(command, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    except OSError as error:
        raise RequestError(f"{python} cannot be run ({error.strerror})", "--export-python", "check the path") from None
    return done.returncode


def _export_python(args: argparse.Namespace, card: Card) -> str:
    from clip2om.export.frameworks import FRAMEWORKS
    from clip2om.pipeline.places import ROOT

    if args.export_python:
        return str(args.export_python)
    found = ROOT / ".venv" / FRAMEWORKS[card.model.framework].requirements / "bin" / "python"
    return str(found) if found.is_file() else sys.executable


if __name__ == "__main__":
    sys.exit(main())
