"""From a PyTorch network to an ONNX graph by tracing."""

from __future__ import annotations

import io
import warnings

import onnx
import torch
from torch import nn

from clip2om.export.pytorch.byte_input import ByteInput
from clip2om.export.pytorch.deployed import Deployed
from clip2om.export.request import ExportRequest
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.mean_volume import mean_volume_of
from clip2om.pipeline.tensor import DYNAMIC

OPSETS = range(7, 21)
_EXAMPLE_BATCH = 2


def onnx_from_torch(network: nn.Module, request: ExportRequest) -> onnx.ModelProto:
    """Trace a card's network in evaluation mode and return its graph, batch norm folded, not yet simplified."""
    whole: nn.Module = Deployed(network, request.card)
    if request.input_dtype == "uint8":
        card = request.card
        whole = ByteInput(whole, card.input.layout, card.transform, mean_volume_of(card))
    dynamic = request.batch == DYNAMIC
    example = request.input.with_batch(_EXAMPLE_BATCH if dynamic else request.batch)
    names = (request.input.name, request.logits.name)
    stream = io.BytesIO()
    with torch.inference_mode(), warnings.catch_warnings():
        # PyTorch announces the end of this exporter on every call. Its successor starts at opset 18 and needs one
        # more library, while converters ask for opset 11.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        torch.onnx.export(
            whole.eval(),
            (torch.ones(example.shape, dtype=getattr(torch, example.dtype)),),
            stream,
            dynamo=False,
            opset_version=request.opset,
            input_names=names[:1],
            output_names=names[1:],
            dynamic_axes={name: {0: "batch"} for name in names} if dynamic else None,
        )
    return onnx.load_from_string(stream.getvalue())


def check_opset(opset: int) -> None:
    """Refuse an opset that the tracing exporter does not write.

    Raises:
        RequestError: naming those that it does.
    """
    if opset not in OPSETS:
        raise RequestError(f"opset {opset} cannot be written, expected {OPSETS[0]} to {OPSETS[-1]}", "--opset")
