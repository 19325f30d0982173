"""Quantization for an NPU: the commands of AMCT and ATC, to be run where CANN is installed.

Options and file names are those of amct_onnx in CANN 6 to 8, as its help and public recipes have them. Nothing here
was ever run: AMCT is not part of this project's tests or of the simulator.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import List

from clip2om.convert.atc_command import atc_command, input_shape
from clip2om.convert.calibration import Calibration
from clip2om.convert.request import STEM, ConvertRequest
from clip2om.pipeline.command import shell
from clip2om.pipeline.errors import RequestError

# What AMCT appends to its prefix for the model that ATC compiles.
_DEPLOYED = f"{STEM}_deploy_model.onnx"


def check(request: ConvertRequest) -> None:
    """Refuse what AMCT cannot do, or not with these clips.

    Raises:
        RequestError: a graph other than ONNX, gears, or batch files of another batch size than the model's.
    """
    assert request.calibration is not None
    if request.record.format != "onnx":
        raise RequestError(
            f"is a graph of format {request.record.format!r}, amct_onnx takes onnx", request.graph, "export as ONNX"
        )
    if request.gears:
        raise RequestError("quantized models do not support several batch sizes", "--dynamic-batch", "pass --batch N")
    batch = request.calibration.tensor.batch
    if batch != request.batch:
        raise RequestError(
            f"holds batches of {batch}, AMCT needs those of the model: {request.batch}",
            request.calibration.folder,
            f"preprocess with --batch {request.batch}, or convert with --batch {batch}",
        )


def pasted_commands(request: ConvertRequest, folder: Path) -> List[str]:
    """Return the lines to paste into a shell: links to the batch files, AMCT, then ATC on what AMCT wrote.

    AMCT reads every file of its folder, so the batches are linked into one that holds nothing else.
    """
    calibration = request.calibration
    assert calibration is not None
    data, work = folder / "calibration", folder / "amct"
    names = _files(calibration)
    links = [os.fspath(calibration.folder.resolve() / name) for name in names]
    (spec,) = request.inputs
    amct = [
        *("amct_onnx", "calibration", f"--model={request.graph}", f"--save_path={work / STEM}"),
        *(f"--input_shape={input_shape(request.inputs)}", f"--data_dir={data}", f"--data_types={spec.dtype}"),
        f"--batch_num={len(names)}",
    ]
    atc = atc_command(replace(request, calibration=None), os.fspath(work / _DEPLOYED), os.fspath(folder / STEM))
    return [
        shell(["mkdir", "-p", os.fspath(data), os.fspath(work)]),
        shell(["ln", "-sf", *links, os.fspath(data)]),
        shell(amct),
        shell(atc),
    ]


def _files(calibration: Calibration) -> List[str]:
    """Return as many whole batch files as hold the clips asked for, spread evenly over the folder."""
    per_file = calibration.tensor.clips
    every = [name for name, _ in calibration.files]
    wanted = min(len(every), -(-calibration.facts.clips // per_file))
    return [every[index * len(every) // wanted] for index in range(wanted)]
