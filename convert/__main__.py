"""Command line of the convert stage."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Tuple

from clip2om.pipeline.command import positive, run, stage_parser
from clip2om.pipeline.console import Console

if TYPE_CHECKING:
    from clip2om.convert.formats import Format
    from clip2om.convert.request import ConvertRequest
    from clip2om.pipeline.ascend_host import Cann
    from clip2om.pipeline.card import Card
    from clip2om.pipeline.records import GraphRecord

_EXAMPLE = """python -m convert --model 3d_resnet --soc cpu --batch 10
  python -m convert --model 3d_resnet --soc Ascend310P3 --batch 1,4,8 --dry-run
  python -m convert --model 3d_resnet --soc Ascend310P3 --dynamic-batch 1,2,4,8,10
  python -m convert --model 3d_resnet --soc cpu --precision int8 --calibration build/3d_resnet/calibration"""
_LOG_LEVELS = ("debug", "info", "warning", "error", "null")
_IMPLEMENTATIONS = ("high_performance", "high_precision", "high_performance_for_all", "high_precision_for_all")


def main(argv: Optional[List[str]] = None) -> int:
    """Run the stage; see ``python -m convert --help``."""
    args = make_parser().parse_args(argv)
    return run("convert", lambda: convert(args))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the stage."""
    parser = stage_parser("convert", "Compile a graph for the device that will run it.", _EXAMPLE)
    add = parser.add_argument
    add("--graph", metavar="DIR", help="folder of the graph and its model.json (default: build/CARD/graph)")
    add(
        "--soc",
        default="auto",
        metavar="SOC",
        help="cpu, a --soc_version of ATC such as Ascend310P3, or auto: what npu-smi reports, else cpu (default: auto)",
    )
    batch = parser.add_mutually_exclusive_group()
    batch.add_argument(
        "--batch",
        type=_batches,
        metavar="N[,N...]",
        help="clips per execution (default: the graph's, else the card's); several: one model each",
    )
    batch.add_argument("--dynamic-batch", type=_batches, metavar="N,N...", help="one .om for all these batch sizes")
    add(
        "--output",
        metavar="DIR",
        help="folder of the compiled model (default: build/CARD/compiled/SOC-bN, "
        "SOC-dynamic for --dynamic-batch); for several batch sizes the folder above (default: build/CARD/compiled)",
    )
    add(
        "--format",
        choices=("auto", "openvino", "onnx", "mindir"),
        default="auto",
        help="for the CPU; auto: what the graph can become, openvino first where it is installed",
    )
    add("--force", action="store_true", help="compile again what is up to date")
    _add_quantization(parser)
    _add_atc(parser)
    return parser


def _add_quantization(parser: argparse.ArgumentParser) -> None:
    about = "python -m scripts.quantize also measures what it costs in accuracy"
    add = parser.add_argument_group("quantization", about).add_argument
    add("--precision", choices=("f32", "int8"), default="f32", help="int8: quantize with NNCF (default: f32)")
    add("--calibration", metavar="DIR", help="batches of the training split (default: build/CARD/calibration)")
    add(
        "--calibration-clips",
        type=positive,
        metavar="N",
        help="clips of it to take the value ranges from (default: 300)",
    )


def _add_atc(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("ATC (SOC Ascend...)").add_argument
    add("--dry-run", action="store_true", help="print the command for a shell and stop; needs no CANN")
    add("--precision-mode", metavar="MODE", help="default: the card's; force_fp16 compiles float32 to float16")
    add("--out-nodes", default="", metavar="NODES", help="outputs to keep, in this order, separated by ; as for ATC")
    add(
        "--op-select-implmode",
        choices=_IMPLEMENTATIONS,
        default="",
        metavar="MODE",
        help=f"one of {', '.join(_IMPLEMENTATIONS)}",
    )
    add("--log", choices=_LOG_LEVELS, default="error", help="ATC's log level (default: error)")
    add(
        "--atc-arg",
        action="append",
        default=[],
        metavar="ARG",
        help="passed on behind all others, for example "
        "--atc-arg=--jit_compile=0; repeatable, of two of one name the last one counts",
    )


def convert(args: argparse.Namespace) -> int:
    """Compile what ``args`` ask for; what is up to date is kept."""
    from clip2om.convert.formats import MINDIR
    from clip2om.convert.request import read_graph
    from clip2om.pipeline import cards, soc
    from clip2om.pipeline.places import build_folder

    console = Console("convert", args.quiet)
    card = cards.load(args.model, args.set)
    target = soc.resolve(args.soc)
    _warn_of_soc(target, console)
    graph, record = read_graph(card, Path(args.graph or build_folder(card.name) / "graph"))
    requests = _plain_requests if target == soc.CPU or record.format == MINDIR.name else _atc_requests
    for request in requests(args, card, target, graph, record):
        request = _with_calibration(args, card, request)
        folder = _folder(args, card, request)
        if args.dry_run:
            _print_command(request, folder, console)
        elif request.atc is None:
            _build_without_atc(args, request, folder, console)
        else:
            _build_om(args, request, folder, console)
    return 0


def _warn_of_soc(target: str, console: Console) -> None:
    """Say what speaks against the SOC, and that the operators on this host are another chip's."""
    import os

    from clip2om.pipeline import ascend_host, soc

    cann = ascend_host.find_cann(ascend_host.ROOT, os.environ)
    known = ascend_host.platforms(cann.home) if cann else []
    for line in filter(None, (soc.doubt(target, known, cann.release if cann else (0, 0)), _foreign(target, cann))):
        console.warn(line)


def _foreign(target: str, cann: Optional[Cann]) -> str:
    from clip2om.pipeline import soc

    wanted = soc.operator_chips(target)
    if cann is None or cann.release < (8, 5) or not wanted or set(wanted) & set(cann.ops_chips):
        return ""
    there = f"only the operators of {', '.join(cann.ops_chips)}" if any(cann.ops_chips) else "no operator package"
    return (
        f"CANN {cann.version} has {there} here, and atc needs Ascend-cann-{wanted[0]}-ops_{cann.version} for {target}"
    )


def _plain_requests(
    args: argparse.Namespace, card: Card, target: str, graph: Path, record: GraphRecord
) -> List[ConvertRequest]:
    """Return the conversions that do without ATC: for the CPU, and of graphs that MindSpore itself runs."""
    from clip2om.convert.formats import MINDIR
    from clip2om.convert.request import cpu_request
    from clip2om.pipeline import soc
    from clip2om.pipeline.errors import RequestError

    given = {
        "--dynamic-batch": args.dynamic_batch,
        "--dry-run": args.dry_run,
        "--precision-mode": args.precision_mode,
        "--out-nodes": args.out_nodes,
        "--op-select-implmode": args.op_select_implmode,
        "--atc-arg": args.atc_arg,
    }
    for name, value in given.items():
        if value:
            if target == soc.CPU:
                raise RequestError(f"is for ATC, and --soc {args.soc} is the CPU here", name, "pass --soc Ascend310P3")
            raise RequestError(
                f"is for ATC, which does not read the {record.format} graph", name, "export --format onnx or air"
            )
    if args.precision == "int8" and args.format == "onnx":
        raise RequestError("onnx keeps the graph as it is", "--precision int8", "leave --format out")
    if args.precision == "int8" and record.format == MINDIR.name:
        raise RequestError("a MINDIR is kept as it is", "--precision int8", "export --format onnx")
    return [cpu_request(card, graph, record, target, batch) for batch in args.batch or [None]]


def _with_calibration(args: argparse.Namespace, card: Card, request: ConvertRequest) -> ConvertRequest:
    """Return the request with its calibration clips, if it is for int8."""
    from dataclasses import replace

    from clip2om.convert.calibration import USUAL, read_calibration
    from clip2om.pipeline.errors import RequestError
    from clip2om.pipeline.places import build_folder

    if args.precision != "int8":
        for name, value in (("--calibration", args.calibration), ("--calibration-clips", args.calibration_clips)):
            if value:
                raise RequestError("is for --precision int8", name, "add --precision int8, or leave it out")
        return request
    if request.atc is not None and not args.dry_run:
        raise RequestError(
            f"for {request.soc} AMCT quantizes, on an NPU host", "--precision int8", "--dry-run prints its commands"
        )
    folder = Path(args.calibration or build_folder(card.name) / "calibration")
    return replace(request, calibration=read_calibration(folder, request.record, args.calibration_clips or USUAL))


def _atc_requests(
    args: argparse.Namespace, card: Card, target: str, graph: Path, record: GraphRecord
) -> List[ConvertRequest]:
    from clip2om.convert.atc_options import check_gears, make_options
    from clip2om.convert.request import atc_request
    from clip2om.pipeline.errors import RequestError

    if args.format != "auto":
        raise RequestError(f"{args.format} is for the CPU, --soc {target} takes .om", "--format", "leave it out")
    options = make_options(
        card, record, args.precision_mode, args.log, args.op_select_implmode, args.out_nodes, args.atc_arg
    )
    gears = check_gears(args.dynamic_batch) if args.dynamic_batch else ()
    return [atc_request(card, graph, record, target, batch, gears, options) for batch in args.batch or [None]]


def _folder(args: argparse.Namespace, card: Card, request: ConvertRequest) -> Path:
    from clip2om.pipeline.places import build_folder
    from clip2om.pipeline.run_names import compiled_name

    several = len(args.batch or []) > 1
    if args.output and not several:
        return Path(args.output)
    above = Path(args.output) if args.output else build_folder(card.name) / "compiled"
    return above / compiled_name(request.soc, request.batch, bool(request.gears), request.calibration is not None)


def _print_command(request: ConvertRequest, folder: Path, console: Console) -> None:
    from clip2om.convert import amct_command
    from clip2om.convert.atc_command import pasted_command
    from clip2om.convert.om_from_graph import warn_of_doubts

    warn_of_doubts(request, console)
    if request.calibration:
        amct_command.check(request)
    pasted = amct_command.pasted_commands if request.calibration else pasted_command
    for line in pasted(request, folder):
        console.result(line)


def _build_without_atc(args: argparse.Namespace, request: ConvertRequest, folder: Path, console: Console) -> None:
    from clip2om.convert.build import build
    from clip2om.convert.formats import candidates
    from clip2om.convert.own_command import own_command

    if request.calibration:
        _build_int8(args, request, folder, console)
        return
    formats = candidates(args.format, request.graph, request.record.format, console)
    for chosen, fallback in zip(formats, [*formats[1:], None]):
        if _is_current(args, request, chosen, folder, console):
            return
        command = own_command(args, request, chosen.name)
        if build(request, chosen, folder, command, console, fallback):
            return


def _build_int8(args: argparse.Namespace, request: ConvertRequest, folder: Path, console: Console) -> None:
    from clip2om.convert.build import build
    from clip2om.convert.formats import INT8, require_int8
    from clip2om.convert.own_command import own_command

    if not _is_current(args, request, INT8, folder, console):
        require_int8(request.graph, request.record.format)
        build(request, INT8, folder, own_command(args, request, "openvino"), console)


def _build_om(args: argparse.Namespace, request: ConvertRequest, folder: Path, console: Console) -> None:
    from clip2om.convert.build import build
    from clip2om.convert.formats import OM
    from clip2om.convert.own_command import own_command
    from clip2om.pipeline.atc_program import find_atc

    if not _is_current(args, request, OM, folder, console):
        find_atc(request.soc)
        build(request, OM, folder, own_command(args, request, "auto"), console)


def _is_current(
    args: argparse.Namespace, request: ConvertRequest, chosen: Format, folder: Path, console: Console
) -> bool:
    from clip2om.convert.record import find_current

    current = None if args.force else find_current(request, chosen, folder)
    if current is None:
        return False
    console.say(f"up to date: {folder / current.file}")
    return True


def _batches(text: str) -> Tuple[int, ...]:
    """Argparse type: batch sizes, each once."""
    sizes = tuple(positive(word) for word in text.split(","))
    if len(set(sizes)) < len(sizes):
        raise argparse.ArgumentTypeError(f"{text!r} names a batch size twice")
    return sizes


if __name__ == "__main__":
    sys.exit(main())
