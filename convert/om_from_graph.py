"""Graph to .om with ATC. Not run on an NPU host yet: written to the documented behaviour of CANN 6 to 9."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Iterator, List, Optional

from clip2om.convert.atc_command import atc_command
from clip2om.convert.atc_failure import explain_failure, unfinished
from clip2om.convert.atc_process import run_atc
from clip2om.convert.onnx_check import doubts
from clip2om.convert.request import STEM, ConvertRequest
from clip2om.pipeline.artifact import replacing
from clip2om.pipeline.ascend_host import ROOT, find_cann
from clip2om.pipeline.atc_program import find_atc
from clip2om.pipeline.command import shell
from clip2om.pipeline.console import Console
from clip2om.pipeline.soc import operator_chips

LOG = "atc.log"
_NAME = f"{STEM}.om"
# Not .partial-: that prefix is for files, this is a folder.
_SCRATCH = ".atc-"
_SUCCESS = "ATC run success"
# The operator store of CANN 8.1.RC1 has Conv3D in float32 for A2 and A3 alone.
_HALF_ONLY = (("310",), ("310p",), ("310b",), ("910",))


def om_from_graph(request: ConvertRequest, output: Path, console: Console) -> List[str]:
    """Compile the graph into ``model.om`` in ``output`` and return the file's name; ATC's output is kept in atc.log.

    ATC runs in a folder of its own inside ``output``, because it leaves kernel_meta and fusion_result.json where it
    is started, and two runs must not share them.

    Raises:
        RequestError: no ATC on this host, or ATC failed: what its code means and what to try.
    """
    program = find_atc(request.soc)
    with _scratch(output) as scratch:
        # The .om keeps this command, so it holds nothing that differs from run to run.
        command = atc_command(request, os.path.abspath(request.graph), STEM)
        _announce(request, command, console)
        log = scratch / LOG
        code = run_atc([program, *command[1:]], scratch, log)
        text = log.read_text(encoding="utf-8", errors="replace")
        _keep_log(log, output / LOG, command)
        if code != 0:
            raise explain_failure(request, code, text, output / LOG, console)
        model = _model(scratch)
        if _SUCCESS not in text or model is None:
            raise unfinished(request, model is not None, text, output / LOG, console)
        with replacing(output / _NAME) as temporary:
            os.replace(model, temporary)
    return [_NAME]


def warn_of_doubts(request: ConvertRequest, console: Console) -> None:
    """Say what ATC may refuse of the graph, as far as its documentation tells."""
    cann = find_cann(ROOT, os.environ)
    release = cann.release if cann else (0, 0)
    for line in doubts(request.graph, release) if request.record.format == "onnx" else []:
        console.warn(line)


def _announce(request: ConvertRequest, command: List[str], console: Console) -> None:
    assert request.atc is not None
    warn_of_doubts(request, console)
    kept = ", ".join(dict.fromkeys(spec.dtype for spec in (*request.inputs, *request.outputs)))
    console.say(f"running, possibly for many minutes: {shell(command)}")
    console.say(f"precision on the device: {request.atc.precision}; inputs and outputs stay {kept}")
    five = any(len(spec.shape) == 5 for spec in request.inputs)
    if request.atc.precision == "float32" and five and operator_chips(request.soc)[:1] in _HALF_ONLY:
        console.warn(f"{request.soc} computes 5-D convolutions in float16 only: this precision may be refused")
    if request.soc == "Ascend910B":
        console.warn("Ascend910B is the older training chip; an Atlas A2 is Ascend910B1 to Ascend910B4")


@contextlib.contextmanager
def _scratch(output: Path) -> Iterator[Path]:
    """Yield a fresh folder, and remove it with those that killed runs left; the caller holds the folder's lock."""
    for left in output.glob(f"{_SCRATCH}*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=output))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep_log(log: Path, target: Path, command: List[str]) -> None:
    with replacing(target) as temporary:
        temporary.write_bytes(f"$ {shell(command)}\n".encode() + log.read_bytes())


def _model(scratch: Path) -> Optional[Path]:
    """Return the .om: named as asked for, or with system and processor where it holds code for the host."""
    plain = scratch / _NAME
    found = [plain] if plain.is_file() else sorted(scratch.glob(f"{STEM}_linux_*.om"))
    return next((path for path in found if path.stat().st_size), None)
