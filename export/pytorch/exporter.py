"""What the PyTorch exporter does in order: load, trace, simplify, check, compare, write."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import numpy as np
import onnx
import torch
from torch import nn

from clip2om.export import onnx_graph, parity
from clip2om.export.publish import publish
from clip2om.export.pytorch.checkpoint import load_weights
from clip2om.export.pytorch.deployed import Deployed
from clip2om.export.pytorch.networks import build_network
from clip2om.export.pytorch.onnx_from_torch import check_opset, onnx_from_torch
from clip2om.export.pytorch.operators import explicit_pads, operators
from clip2om.export.request import ExportRequest
from clip2om.pipeline.console import Console
from clip2om.pipeline.mean_volume import mean_volume_of
from clip2om.pipeline.records import GraphRecord, Parity

_DISTRIBUTIONS = ("torch", "onnx", "onnxsim", "onnxruntime", "numpy")


def export_graph(request: ExportRequest, console: Console) -> GraphRecord:
    """Write the graph and, last, its record; an earlier graph stays until the new one has passed every check.

    Raises:
        RequestError: a card, an option or a checkpoint that does not fit.
        ShortfallError: the graph has operators it should not have, or drifts from PyTorch.
    """
    check_opset(request.opset)
    console.say(f"loading {request.checkpoint}")
    card = request.card
    network = load_weights(build_network(card), request.checkpoint, card, request.average, console.say).eval()
    console.say(f"exporting at opset {request.opset}")
    model = explicit_pads(onnx_graph.simplify(onnx_from_torch(network, request)))
    onnx_graph.check(model, operators(request))
    for line in onnx_graph.atc_limits(model):
        console.warn(line)
    tensors = onnx_graph.describe(model, [request.input, request.logits])

    def compare(graph: Path) -> Parity:
        console.say("comparing ONNX Runtime with PyTorch")
        return measure(network, graph, request)

    return publish(request, tensors, lambda path: onnx.save(model, str(path)), compare, _DISTRIBUTIONS)


def load_network(request: ExportRequest) -> Callable[[np.ndarray], np.ndarray]:
    """Return the card's network with the checkpoint's weights: normalised batches, float32, to outputs, float32.

    Raises:
        RequestError: a card or a checkpoint that does not fit.
    """
    network = load_weights(build_network(request.card), request.checkpoint, request.card, request.average)
    return _eager(Deployed(network, request.card))


def measure(network: nn.Module, graph: Path, request: ExportRequest) -> Parity:
    """Return how far a graph's rows are from the network's, in evaluation mode, on pixels new to both.

    The network gets normalised values also where the graph takes pixels, so that the folding is part of the test.
    """
    eager, classes = _eager(Deployed(network, request.card)), request.card.model.classes
    pixels = parity.probe_batches(request.input)
    volume = mean_volume_of(request.card)
    values = [parity.normalised(batch, request.input.layout, request.card.transform, volume) for batch in pixels]
    reference = np.concatenate([eager(batch) for batch in values])
    batches = pixels if request.input_dtype == "uint8" else values
    found = onnx_graph.run(graph, batches)
    return parity.compare(reference.reshape(-1, classes), found.reshape(-1, classes), "PyTorch eager")


def _eager(network: nn.Module) -> Callable[[np.ndarray], np.ndarray]:
    network.eval()

    def call(values: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(values)).numpy()

    return call
