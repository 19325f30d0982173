"""The command line of this stage that repeats one conversion, for its record."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import List

from clip2om.convert.atc_options import AtcOptions
from clip2om.convert.request import ConvertRequest
from clip2om.pipeline.command import shell
from clip2om.pipeline.run_names import compiled_name


def own_command(args: argparse.Namespace, request: ConvertRequest, form: str) -> str:
    """Return the command that repeats this conversion: paths as they were given, everything else resolved."""
    parts = ["python", "-m", "convert", "--model", args.model]
    for entry in args.set:
        parts += ["--set", entry]
    if args.graph:
        parts += ["--graph", args.graph]
    sizes = ["--dynamic-batch", ",".join(map(str, request.gears))] if request.gears else ["--batch", str(request.batch)]
    parts += ["--soc", request.soc, *sizes]
    parts += _atc_parts(request.atc, args) if request.atc else ["--format", form]
    if request.calibration:
        clips = str(request.calibration.facts.clips)
        parts += ["--precision", "int8", "--calibration", str(request.calibration.folder), "--calibration-clips", clips]
    if args.output:
        several = len(args.batch or []) > 1
        name = compiled_name(request.soc, request.batch, int8=request.calibration is not None)
        parts += ["--output", str(Path(args.output) / name) if several else args.output]
    return shell(parts)


def _atc_parts(options: AtcOptions, args: argparse.Namespace) -> List[str]:
    parts = ["--precision-mode", args.precision_mode] if args.precision_mode else []
    parts += ["--log", options.log]
    if options.op_select_implmode:
        parts += ["--op-select-implmode", options.op_select_implmode]
    if options.out_nodes:
        parts += ["--out-nodes", ";".join(options.out_nodes)]
    return [*parts, *(f"--atc-arg={argument}" for argument in options.extra)]
