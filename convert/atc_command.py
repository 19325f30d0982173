"""The command line of ATC for one conversion."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List

from clip2om.convert.atc_options import AtcOptions
from clip2om.convert.request import STEM, ConvertRequest
from clip2om.pipeline.command import shell
from clip2om.pipeline.tensor import TensorSpec


def atc_command(request: ConvertRequest, model: str, output: str) -> List[str]:
    """Return ATC's arguments, ``atc`` first, to be run without a shell.

    Args:
        request: The conversion; ``request.atc`` holds the options.
        model: Path of the graph as ATC is to see it.
        output: Path of the .om without its suffix, which ATC appends.
    """
    options = request.atc
    assert options is not None, "a request for ATC has options for it"
    command = [
        "atc",
        f"--model={model}",
        f"--framework={options.framework}",
        f"--output={output}",
        *([f"--input_format={options.input_format}"] if options.input_format else []),
        f"--input_shape={input_shape(request.inputs)}",
    ]
    if request.gears:
        command.append(f"--dynamic_batch_size={','.join(map(str, request.gears))}")
    if options.out_nodes:
        command.append(f"--out_nodes={';'.join(options.out_nodes)}")
    return [*command, f"--soc_version={request.soc}", *_settings(options), *options.extra]


def input_shape(inputs: List[TensorSpec]) -> str:
    """Return the value of --input_shape: ``name:10,3,16,112,112;second:10,101``."""
    return ";".join(f"{spec.name}:{','.join(map(str, spec.shape))}" for spec in inputs)


def recorded_command(request: ConvertRequest) -> str:
    """Return the command for the record: only file names for its two paths, so that it says what matters."""
    return shell(atc_command(request, request.graph.name, STEM)) if request.atc else ""


def pasted_command(request: ConvertRequest, folder: Path) -> List[str]:
    """Return the lines to paste into a shell; ATC itself does not create the folder of its output."""
    command = shell(atc_command(request, os.fspath(request.graph), os.fspath(folder / STEM)))
    return [command] if folder.is_dir() else [shell(["mkdir", "-p", os.fspath(folder)]), command]


def _settings(options: AtcOptions) -> List[str]:
    # Both precision options together are an error (E10056).
    settings = [] if options.precision_v2 else [f"--precision_mode={options.precision_mode}"]
    if options.op_select_implmode:
        settings.append(f"--op_select_implmode={options.op_select_implmode}")
    return [*settings, f"--log={options.log}"]
