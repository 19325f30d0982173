"""The options of both generations, and the rules between them [S]."""

from __future__ import annotations

import argparse
import os
from typing import Callable, List

from ais_bench.infer import paths
from ais_bench.infer.generation import is_second, log

_GIB = 1 << 30


def _bool(text: str) -> bool:
    if text.lower() in ("yes", "true", "t", "y", "1"):
        return True
    if text.lower() in ("no", "false", "f", "n", "0"):
        return False
    raise argparse.ArgumentTypeError("Boolean value expected. true, 1, false, 0")


def _whole(least: int, most: int) -> Callable[[str], int]:
    def check(text: str) -> int:
        # Only the second generation has upper limits.
        if not text.isdigit() or int(text) < least or (is_second() and int(text) > most):
            raise argparse.ArgumentTypeError(f"{text} is not an integer of {least} to {most}")
        return int(text)

    return check


def _devices(text: str) -> List[int]:
    words = text.split(",")
    if not all(word.isdigit() and int(word) <= 255 for word in words):
        raise argparse.ArgumentTypeError(f"{text} is an invalid positive int list: ids are 0 to 255")
    return [int(word) for word in words]


def _model(text: str) -> str:
    if is_second():
        paths.check_model(text)
    return text


def _inputs(text: str) -> str:
    if is_second():
        paths.check_inputs(text.split(","))
    return text


def _output(text: str) -> str:
    if is_second():
        paths.check_output(text)
    return text


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the chosen generation."""
    parser = argparse.ArgumentParser(prog="ais_bench")
    add = parser.add_argument
    add("--model", "-m", required=True, type=_model)
    add("--input", "-i", default=None, type=_inputs)
    add("--output", "-o", default=None, type=_output)
    add("--output_dirname", default=None)
    add("--outfmt", default="BIN", choices=["NPY", "BIN", "TXT"])
    add("--loop", "-l", type=_whole(1, 100000), default=1)
    add("--debug", type=_bool, default=False)
    add("--device", "-d", type=_devices, default=[0])
    add("--dymBatch", type=_whole(1 if is_second() else 0, 4096), default=0)
    for name in ("--dymHW", "--dymDims", "--dymShape", "--outputSize", "--dymShape_range", "--acl_json_path"):
        add(name, default=None)
    add("--auto_set_dymshape_mode", type=_bool, default=False)
    add("--auto_set_dymdims_mode", type=_bool, default=False)
    add("--batchsize", type=_whole(1, 4096), default=None)
    add("--pure_data_type", default="zero", choices=["zero", "random"])
    add("--profiler", type=_bool, default=False)
    add("--dump", type=_bool, default=False)
    add("--output_batchsize_axis", type=_whole(0, 8), default=0)
    add("--run_mode", default="array", choices=["array", "files", "tensor", "full"])
    add("--display_all_summary", type=_bool, default=False)
    add("--warmup_count", type=_whole(0, 10000), default=1)
    if is_second():
        _add_second(parser)
    return parser


def _add_second(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--aipp_config", default=None)
    add("--energy_consumption", type=_bool, default=False)
    add("--npu_id", default="0")
    add("--backend", default=None, choices=["trtexec"])
    add("--perf", type=_bool, default=False)
    add("--pipeline", type=_bool, default=False)
    add("--profiler_rename", type=_bool, default=True)
    add("--dump_npy", type=_bool, default=False)
    add("--divide_input", type=_bool, default=False)
    add("--threads", type=_whole(1, 64), default=1)


def parse(arguments: List[str]) -> argparse.Namespace:
    """Parse and check; argparse's own errors exit with 2.

    Raises:
        RuntimeError: options that contradict each other.
    """
    args = make_parser().parse_args(arguments)
    if args.profiler and args.dump:
        log("ERROR", "parameter --profiler cannot be true at the same time as parameter --dump, please check them!")
        raise RuntimeError("error bad parameters --profiler and --dump")
    if (args.profiler or args.dump) and args.output is None:
        log("ERROR", "when dump or profiler, miss output path, please check them!")
        raise RuntimeError("miss output parameter!")
    if args.output_dirname is not None and args.output is None:
        raise RuntimeError("error bad parameters --output_dirname")
    if is_second() and args.output_dirname is not None and os.path.isabs(args.output_dirname):
        raise RuntimeError("error bad parameters --output_dirname")
    if is_second() and args.acl_json_path is not None:
        paths.check_acl_json(args.acl_json_path)
    args.pipeline = getattr(args, "pipeline", False)
    args.divide_input = getattr(args, "divide_input", not is_second())
    return args
