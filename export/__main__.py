"""``python -m export``: a trained checkpoint becomes a graph, checked against its framework."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Sequence

from clip2om.pipeline import dead
from clip2om.pipeline.command import Parser, positive, run, stage_parser
from clip2om.pipeline.console import Console, size

if TYPE_CHECKING:
    from clip2om.pipeline.records import GraphRecord


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the stage and return its exit code: 0 done, 1 the graph drifts, 2 the request is wrong."""
    args = make_parser().parse_args(argv)
    return run("export", lambda: export(args))


def make_parser() -> Parser:
    """Return the parser of the stage."""
    parser = stage_parser(
        "export",
        "Turn a trained checkpoint into a graph and compare it with the framework it comes from.",
        "python -m export --model 3d_resnet --checkpoint save_700.pth --batch 10",
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="trained weights; of TensorFlow the prefix, the index, or the folder (default: the card's)",
    )
    parser.add_argument(
        "--graph-file",
        type=Path,
        metavar="FILE",
        help="a graph that is there already, for a card whose model.framework is onnx (default: the card's checkpoint)",
    )
    parser.add_argument(
        "--allow-code", action="store_true", help="run the code that the card names as its network (see model.network)"
    )
    parser.add_argument(
        "--weights",
        choices=("raw", "average"),
        help="which, where a checkpoint holds averages over training steps too (default: what it has as its weights)",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: build/CARD/graph")
    parser.add_argument(
        "--format", metavar="FORMAT", help="onnx, pb, mindir or air (default: the card's or framework's)"
    )
    batch = parser.add_mutually_exclusive_group()
    batch.add_argument("--batch", type=positive, metavar="N", help="batch size of the graph (default: the card's)")
    batch.add_argument("--dynamic-batch", action="store_true", help="leave the batch size open")
    parser.add_argument(
        "--reuse-dynamic", action="store_true", help="keep an up-to-date graph with open batch size for --batch N too"
    )
    parser.add_argument(
        "--input-dtype",
        metavar="DTYPE",
        help="float32, or uint8: the graph takes pixels and normalises (default: the card's)",
    )
    parser.add_argument("--opset", type=positive, metavar="N", help="ONNX operator set (default: the card's)")
    parser.add_argument(
        "--max-diff",
        type=_limit,
        default=1e-4,
        metavar="X",
        help="largest difference from the framework, relative to max(1, largest logit) (default: %(default)s)",
    )
    parser.add_argument(
        "--keep", action="store_true", help="take a graph that is there and was asked for, without its weights"
    )
    parser.add_argument("--force", action="store_true", help="export again even if nothing has changed")
    return parser


def export(args: argparse.Namespace) -> int:
    """Export what ``args`` ask for, unless it is there already."""
    # NumPy and the framework are loaded here, so that --help works on any host and at once.
    from clip2om.export.frameworks import FRAMEWORKS, load_exporter
    from clip2om.export.request import find_current, make_request
    from clip2om.pipeline import cards
    from clip2om.pipeline.artifact import folder_lock, remove_partials
    from clip2om.pipeline.errors import RequestError

    console = Console("export", args.quiet)
    card = cards.load(args.model, args.set)
    framework = FRAMEWORKS[card.model.framework]
    if card.old_entries:
        console.say(f"{card.path}: {', '.join(card.old_entries)} in [model] belong into [model.arguments] now")
    if args.graph_file and not framework.adopts:
        raise RequestError(
            f"card {card.name} is of {card.model.framework}, --graph-file is for graphs that are there already",
            args.graph_file,
            "--set model.framework=onnx, or give weights with --checkpoint",
        )
    args.checkpoint = args.graph_file or args.checkpoint
    request = make_request(card, args, framework.formats)
    record = None if args.force else find_current(request)
    if args.keep and record is None:
        raise RequestError(
            "the graph that is there is not the one that is asked for, and the weights to make that are not here",
            request.checkpoint,
            "give --checkpoint FILE, or the options that the graph was made with",
        )
    if record is not None:
        console.result(f"{request.output / record.file} is up to date")
        return 0
    exporter = load_exporter(framework)
    with folder_lock(request.output):
        remove_partials(request.output)
        record = exporter.export_graph(request, console)
    report(record, request.output, console)
    return 0


def report(record: GraphRecord, folder: Path, console: Console) -> None:
    """Show what was written and how close it is."""
    graph = folder / record.file
    opset = f"opset {record.opset}, " if record.opset else ""
    console.result(f"graph   {graph} ({opset}{size(graph.stat().st_size)})")
    for word, specs in (("input ", record.inputs), ("output", record.outputs)):
        for spec in specs:
            console.result(f"{word}  {spec}")
    parity = record.parity
    console.result(
        f"parity  {parity.reference}: largest difference {parity.max_abs_diff:.2g} of {parity.max_abs:.3g}, "
        f"cosine {parity.cosine:.7f} ({parity.clips} clips)"
    )
    if parity.dead:
        console.warn(dead.WORDS)


def _limit(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return value


if __name__ == "__main__":
    sys.exit(main())
