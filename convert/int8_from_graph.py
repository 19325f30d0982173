"""A graph to OpenVINO IR with int8 weights and activations, by post-training quantization with NNCF."""

from __future__ import annotations

import contextlib
import io
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import numpy as np

from clip2om.convert.calibration import Calibration
from clip2om.convert.openvino_from_graph import fix_batch, load_openvino, read_model, write_ir
from clip2om.convert.request import ConvertRequest
from clip2om.pipeline.console import Console, Progress
from clip2om.pipeline.errors import RequestError, last_line

INSTALL = "pip install -r requirements/quantize.txt"


def int8_from_graph(request: ConvertRequest, output: Path, console: Console) -> List[str]:
    """Write ``model.xml`` and ``model.bin`` into ``output`` and return their names, the model first.

    The value ranges are those of single items, so that they do not depend on the batch size asked for; only a graph
    that cannot take one item alone gets it repeated over its batch. The same clips give the same values.

    Raises:
        OpenVinoMissingError: OpenVINO cannot be imported.
        RequestError: NNCF cannot be imported or refuses the graph, a calibration file is not what its manifest says,
            the graph cannot take the batch size, or a disk is full.
    """
    assert request.calibration is not None, "a request for int8 has calibration clips"
    openvino = load_openvino(request)
    nncf = _load_nncf()
    model, batch = _smallest(openvino, request)
    (spec,) = request.inputs
    console.say(f"quantizing with {request.calibration.facts.clips} clips of {request.calibration.folder}")
    with console.progress(len(request.calibration.items), "items") as progress:
        data = nncf.Dataset(_Feeds(request.calibration, spec.name, batch, progress))
        quantized = _quantize(nncf, model, data, request)
    fix_batch(openvino, quantized, request)
    return write_ir(openvino, quantized, output)


@dataclass(frozen=True)
class _Feeds:
    """The calibration items as often as NNCF asks for them; only the first time counts as progress."""

    calibration: Calibration
    name: str
    batch: int
    progress: Progress

    def __iter__(self) -> Iterator[dict]:
        for item in self.calibration.feeds():
            yield {self.name: np.repeat(item, self.batch, axis=0)}
            self.progress.advance()


def _load_nncf() -> Any:
    try:
        import nncf  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError as error:
        raise RequestError(f"NNCF cannot be imported ({last_line(error)})", "--precision int8", INSTALL) from None
    return nncf


def _smallest(openvino: Any, request: ConvertRequest) -> Tuple[Any, int]:
    """Return the model for one item, or for the batch asked for where it takes no other, and that batch size."""
    model = read_model(openvino, request)
    try:
        fix_batch(openvino, model, replace(request, batch=1))
    except RequestError:
        model = read_model(openvino, request)
        fix_batch(openvino, model, request)
        return model, request.batch
    return model, 1


def _quantize(nncf: Any, model: Any, data: Any, request: ConvertRequest) -> Any:
    assert request.calibration is not None
    logging.getLogger("nncf").setLevel(logging.ERROR)
    try:
        # Its own progress bars go to stdout, where results belong.
        with contextlib.redirect_stdout(io.StringIO()):
            return nncf.quantize(
                model, data, target_device=nncf.TargetDevice.CPU, subset_size=len(request.calibration.items)
            )
    except RequestError:
        raise
    except Exception as error:
        raise RequestError(
            f"NNCF cannot quantize it ({last_line(error)})", request.graph, "convert without --precision int8"
        ) from None
