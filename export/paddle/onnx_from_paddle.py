"""From a Paddle network to an ONNX graph: a static program, then Paddle's own exporter."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Dict

import onnx
import paddle
import paddle2onnx
from paddle import nn

from clip2om.export.paddle.networks import take_bytes
from clip2om.export.paddle.quiet import hushed, last_printed
from clip2om.export.request import ExportRequest
from clip2om.pipeline.errors import RequestError, ShortfallError
from clip2om.pipeline.tensor import DYNAMIC

# Below 11 the exporter aborts the whole process over a mean.
OPSETS = range(11, 21)
# The name of forward's argument; the tensors get the card's names in the graph.
_ARGUMENT = "x"


def onnx_from_paddle(network: nn.Layer, request: ExportRequest) -> onnx.ModelProto:
    """Return the graph of a network in evaluation mode with the card's names, not yet simplified.

    Raises:
        ShortfallError: Paddle cannot export it, or not to this opset.
    """
    spec = request.input
    whole = take_bytes(network, request.card) if spec.dtype == "uint8" else network
    whole.eval()
    shape = [None if extent == DYNAMIC else extent for extent in spec.shape]
    with tempfile.TemporaryDirectory() as folder, hushed() as log:
        program = Path(folder) / "model"
        try:
            paddle.jit.save(whole, str(program), [paddle.static.InputSpec(shape, spec.dtype, _ARGUMENT)])
            data = paddle2onnx.export(
                str(program.with_suffix(".json")),
                str(program.with_suffix(".pdiparams")),
                opset_version=request.opset,
                auto_upgrade_opset=False,
                # The default one installs packages when it misses any; onnxsim does the folding here.
                optimize_tool=None,
            )
        except Exception as error:  # it prints the cause and then fails over what it has not got
            raise ShortfallError(
                f"Paddle cannot export the network at opset {request.opset} ({last_printed(log) or error})",
                todo="try another --opset",
            ) from None
    model = onnx.load_from_string(data)
    names = {model.graph.input[0].name: request.input.name, model.graph.output[0].name: request.logits.name}
    _rename(model, names)
    return model


def check_opset(opset: int) -> None:
    """Refuse an opset that Paddle's exporter does not write.

    Raises:
        RequestError: naming those that it does.
    """
    if opset not in OPSETS:
        raise RequestError(f"opset {opset} cannot be written, expected {OPSETS[0]} to {OPSETS[-1]}", "--opset")


def _rename(model: Any, names: Dict[str, str]) -> None:
    """Give tensors other names: Paddle calls every output ``fetch_name_0``."""
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    for value in values:
        value.name = names.get(value.name, value.name)
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
