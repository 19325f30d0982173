"""``python -m export.run``: the scores that the framework itself and the graph give for a folder of batches.

They are files in the naming of the infer stage with a ``summary.json`` of their own, one folder for each side, so that
what reads the scores of a compiled model reads these too.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Callable, List, Optional, Sequence

from clip2om.pipeline.command import Parser, run, stage_parser
from clip2om.pipeline.console import Console

if TYPE_CHECKING:
    import numpy as np

    from clip2om.export.score import Side

    Run = Callable[["np.ndarray"], "np.ndarray"]


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command and return its exit code: 0 done, 2 the request or the environment is wrong."""
    args = make_parser().parse_args(argv)
    return run("export.run", lambda: score(args))


def make_parser() -> Parser:
    """Return the parser of the command."""
    parser = stage_parser(
        "export.run",
        "Run batches through the network in its own framework, and through its graph. What is up to date is kept.",
        "python -m export.run --model 3d_resnet --batches build/3d_resnet/batches --output build/3d_resnet/parity",
    )
    add = parser.add_argument
    add("--graph", type=Path, metavar="DIR", help="folder of the graph (default: build/CARD/graph)")
    add("--batches", type=Path, metavar="DIR", help="folder of the batches (default: build/CARD/batches)")
    add("--output", type=Path, metavar="DIR", help="gets framework/ and graph/ (default: build/CARD/parity)")
    add("--checkpoint", type=Path, metavar="FILE", help="trained weights (default: those the graph was made from)")
    add("--allow-code", action="store_true", help="run the code that the card names as its network")
    add("--force", action="store_true", help="score again what is up to date")
    return parser


def score(args: argparse.Namespace) -> int:
    """Score the batches with both sides."""
    from clip2om.export.frameworks import FRAMEWORKS, load_exporter
    from clip2om.export.score import Scorer, make_sides
    from clip2om.pipeline import cards
    from clip2om.pipeline.places import build_folder

    console = Console("export.run", args.quiet)
    card = cards.load(args.model, args.set)
    home = build_folder(card.name)
    graph, batches = args.graph or home / "graph", args.batches or home / "batches"
    scorer = Scorer(batches, args.output or home / "parity", console)
    todo: List[Side] = []
    for side in make_sides(card, graph, args.checkpoint, scorer, args.allow_code):
        if not args.force and scorer.is_current(side):
            console.say(f"up to date: {side.folder}")
        else:
            todo.append(side)
    if todo:
        exporter = load_exporter(FRAMEWORKS[card.model.framework])
        for side in todo:
            scorer.run(side, exporter)
    return 0


if __name__ == "__main__":
    sys.exit(main())
