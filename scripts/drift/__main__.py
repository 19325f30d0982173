"""Where two executions of one graph part: layer by layer, ONNX Runtime in float32 against another side.

python -m scripts.drift --model 3d_resnet --against build/3d_resnet/compiled/cpu-b10-int8
python -m scripts.drift --model 3d_resnet --against dumps/20261124/0/model/1/0
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

from clip2om.pipeline.command import fraction, positive, run, stage_parser
from clip2om.pipeline.console import Console

if TYPE_CHECKING:
    from clip2om.pipeline.records import GraphRecord
    from clip2om.scripts.drift.figures import Drift, Feed, LayerDrift, Limits

VERSION = 1
_EXAMPLE = "python -m scripts.drift --model 3d_resnet --against build/3d_resnet/compiled/cpu-b10"
_HEAD = ("layer", "operator", "cosine", "relative", "largest", "added")


def main(argv: Optional[List[str]] = None) -> int:
    """Run the script; see ``python -m scripts.drift --help``."""
    args = _parser().parse_args(argv)
    return run("drift", lambda: _drift(args))


def _parser() -> argparse.ArgumentParser:
    parser = stage_parser("scripts.drift", "Find the layers in which two executions of one graph part.", _EXAMPLE)
    add = parser.add_argument
    add("--graph", metavar="DIR", help="folder of the graph (default: build/CARD/graph)")
    add(
        "--against",
        required=True,
        metavar="PATH",
        help="folder of a compiled model, an .onnx or .xml file, or a folder of an NPU host's dumps",
    )
    add("--batches", metavar="DIR", help="folder of the batches (default: build/CARD/batches)")
    add("--file", type=positive, default=1, metavar="N", help="the N-th batch file is the input (default: 1)")
    add("--output", metavar="DIR", help="where drift.json and drift.html go (default: build/CARD/drift)")
    add("--top", type=positive, default=10, metavar="N", help="layers per list (default: 10)")
    add("--min-cosine", type=fraction, default=0.99, metavar="X", help="limit per layer (default: 0.99)")
    add("--max-relative", type=fraction, default=0.05, metavar="X", help="limit per layer (default: 0.05)")
    add("--gate", action="store_true", help="exit 1 if a layer is beyond a limit")
    return parser


def _drift(args: argparse.Namespace) -> int:
    from clip2om.pipeline import cards
    from clip2om.pipeline.artifact import clean_folder, write_json
    from clip2om.pipeline.errors import ShortfallError
    from clip2om.pipeline.places import build_folder
    from clip2om.pipeline.tensor import check_feed
    from clip2om.scripts.drift.figures import Drift, Limits, measure
    from clip2om.scripts.drift.graph import OnnxGraph
    from clip2om.scripts.drift.sides import open_side

    console = Console("drift", args.quiet)
    card = cards.load(args.model, args.set)
    build = build_folder(card.name)
    folder, batches = Path(args.graph or build / "graph"), Path(args.batches or build / "batches")
    graph = _graph(folder)
    feed = _feed(batches, args.file)
    check_feed(graph.inputs[0], feed.tensor, folder / graph.file, batches)
    reference = OnnxGraph(folder / graph.file, feed.tensor.batch)
    other = open_side(Path(args.against), reference.layers, feed.tensor)
    clips = feed.items * feed.tensor.clips_per_item
    console.say(f"comparing {len(reference.layers)} layers on {clips} clips")
    layers = list(measure(reference, other, feed))
    matched = {layer.depth for layer in layers}
    unmatched = [layer.name for depth, layer in enumerate(reference.layers, 1) if depth not in matched]
    drift, limits = Drift(layers, unmatched), Limits(args.min_cosine, args.max_relative)
    output = Path(args.output or build / "drift")
    record = {"card": card.name, "graph": str(reference.path), "against": args.against, "clips": clips}
    with clean_folder(output):
        write_json(output / "drift.json", "drift", VERSION, {**record, "limits": asdict(limits), **asdict(drift)})
    _show(drift, limits, args.top, console)
    console.result(f"wrote {output / 'drift.json'}")
    _write_page(card.name, args.against, clips, drift, limits, output / "drift.html", console)
    first = drift.first(limits)
    if args.gate and first is not None:
        raise ShortfallError(
            f"layer {first.name}: cosine {first.cosine:.6f}, relative error {first.relative:.3g}; asked for at least "
            f"{limits.min_cosine} and at most {limits.max_relative}",
            args.against,
        )
    return 0


def _write_page(
    card: str, against: str, clips: int, drift: Drift, limits: Limits, path: Path, console: Console
) -> None:
    from clip2om.pipeline.artifact import clean_folder, write_text
    from clip2om.pipeline.errors import RequestError
    from clip2om.scripts.report.__main__ import require_libraries

    try:
        require_libraries()
    except RequestError as missing:
        console.say(f"no page: {missing.what}; {missing.todo}")
        return
    from clip2om.scripts.drift.page import drift_page
    from clip2om.scripts.pages.render import render

    content = render(drift_page(card, against, clips, drift, limits))
    with clean_folder(path.parent):
        write_text(path, content)
    console.result(f"wrote {path}")


def _graph(folder: Path) -> GraphRecord:
    from clip2om.pipeline.errors import RequestError
    from clip2om.pipeline.records import GraphRecord, read_record

    record = read_record(folder / "model.json", GraphRecord, "run make graph first")
    if record.format != "onnx":
        # OpenVINO reads frozen graphs, but moves their transposes about and drops the names of what lies between.
        raise RequestError(
            f"is a graph of format {record.format!r}: only the layers of ONNX graphs can be looked at here",
            folder / record.file,
            "export it with --format onnx where the framework can, or compare the outputs with make parity",
        )
    return record


def _feed(folder: Path, number: int) -> Feed:
    """Return the ``number``-th batch of a folder, counted from 1."""
    from clip2om.infer.groups import Group
    from clip2om.infer.reader import BatchReader
    from clip2om.pipeline.errors import RequestError
    from clip2om.pipeline.manifest import read_manifest
    from clip2om.scripts.drift.figures import Feed

    manifest = read_manifest(folder)
    if number > len(manifest.files):
        raise RequestError(f"there are {len(manifest.files)} batch files, not {number}", folder, "pass another --file")
    file = manifest.files[number - 1]
    values = BatchReader(folder, manifest.tensor, manifest.tensor).read(Group((file,), manifest.tensor.clips))
    items = -(-file.clips // manifest.tensor.clips_per_item)
    return Feed(manifest.tensor, values, items)


def _show(drift: Drift, limits: Limits, top: int, console: Console) -> None:
    count = f"{len(drift.layers)} layers compared"
    console.result(f"{count}, {len(drift.unmatched)} without a counterpart" if drift.unmatched else count)
    first = drift.first(limits)
    if first is None:
        console.result(f"every layer within cosine {limits.min_cosine} and relative error {limits.max_relative}")
    else:
        console.result(f"first layer beyond a limit: {first.depth} {first.name}")
    console.result("\nlargest errors")
    console.table(_HEAD, [_row(layer) for layer in drift.worst(top)])
    sources = drift.sources(top)
    if sources:
        console.result("\nlayers that add most to the error they are given")
        console.table(_HEAD, [_row(layer) for layer in sources])
    else:
        console.result("\nno layer differs by more than the order of float32 sums explains")


def _row(layer: LayerDrift) -> List[str]:
    figures = (f"{layer.cosine:.6f}", f"{layer.relative:.2e}", f"{layer.max_abs_diff:.2e}", f"{layer.grown:.1f} x")
    return [f"{layer.depth} {layer.name}", layer.op, *figures]


if __name__ == "__main__":
    sys.exit(main())
