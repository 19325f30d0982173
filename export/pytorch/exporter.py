"""What the PyTorch exporter does in order: load, trace, simplify, check, compare, write."""

from __future__ import annotations

from pathlib import Path
from typing import Set

import numpy as np
import onnx
import torch
from torch import nn

from export import onnx_graph, parity
from export.publish import publish
from export.pytorch.checkpoint import load_weights
from export.pytorch.networks import build_network
from export.pytorch.onnx_from_torch import check_opset, onnx_from_torch
from export.request import ExportRequest
from pipeline.console import Console
from pipeline.records import GraphRecord, Parity

_DISTRIBUTIONS = ("torch", "onnx", "onnxsim", "onnxruntime", "numpy")
_POOLING = {
    "global": {"GlobalAveragePool", "Flatten"},
    "average": {"AveragePool", "Flatten"},
    "mean": {"ReduceMean"},
}


def export_graph(request: ExportRequest, console: Console) -> GraphRecord:
    """Write the graph and, last, its record; an earlier graph stays until the new one has passed every check.

    Raises:
        RequestError: a card, an option or a checkpoint that does not fit.
        ShortfallError: the graph has operators it should not have, or drifts from PyTorch.
    """
    check_opset(request.opset)
    console.say(f"loading {request.checkpoint}")
    network = load_weights(build_network(request.card), request.checkpoint, request.card).eval()
    console.say(f"exporting at opset {request.opset}")
    model = onnx_graph.simplify(onnx_from_torch(network, request))
    onnx_graph.check(model, operators(request))
    tensors = onnx_graph.describe(model, [request.input, request.logits])

    def compare(graph: Path) -> Parity:
        console.say("comparing ONNX Runtime with PyTorch")
        return measure(network, graph, request)

    return publish(request, tensors, lambda path: onnx.save(model, str(path)), compare, _DISTRIBUTIONS)


def operators(request: ExportRequest) -> Set[str]:
    """Return the operators that the graph of a 3D ResNet may have: those that the NPU's converter documents."""
    normalising = {"Cast", "Sub", "Mul"} if request.input_dtype == "uint8" else set()
    return {"Conv", "Relu", "MaxPool", "Add", "Gemm"} | _POOLING[request.card.export.pooling] | normalising


def measure(network: nn.Module, graph: Path, request: ExportRequest) -> Parity:
    """Return how far a graph's logits are from the network's, in evaluation mode, on pixels new to both.

    The network gets normalised values also where the graph takes pixels, so that the folding is part of the test.
    """
    pixels = parity.probe_batches(request.input)
    values = [parity.normalised(batch, request.input.layout, request.card.transform) for batch in pixels]
    with torch.inference_mode():
        reference = np.concatenate([network(torch.from_numpy(batch)).numpy() for batch in values])
    batches = pixels if request.input_dtype == "uint8" else values
    return parity.compare(reference, onnx_graph.run(graph, batches), "PyTorch eager")
