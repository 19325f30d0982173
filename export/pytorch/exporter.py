"""What the PyTorch exporter does in order: load, trace, simplify, check, compare, write."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import numpy as np
import onnx
import torch
from torch import nn

from clip2om.export import onnx_graph, parity
from clip2om.export.code import names_code
from clip2om.export.publish import publish
from clip2om.export.pytorch.checkpoint import load_weights
from clip2om.export.pytorch.code import imported
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
    fresh = build_network(card, request.allow_code)
    network = load_weights(fresh, request.checkpoint, card, request.average, console.say).eval()
    console.say(f"exporting at opset {request.opset}")
    model = explicit_pads(_simplified(onnx_from_torch(network, request), request, console))
    onnx_graph.check(model, operators(request))
    for line in onnx_graph.atc_limits(model):
        console.warn(line)
    tensors = onnx_graph.describe(model, [request.input, request.logits])

    def compare(graph: Path) -> Parity:
        console.say("comparing ONNX Runtime with PyTorch")
        return measure(network, graph, request)

    used = imported(card) if names_code(card) else {}
    return publish(request, tensors, lambda path: onnx.save(model, str(path)), compare, _DISTRIBUTIONS, code=used)


def _simplified(traced: onnx.ModelProto, request: ExportRequest, console: Console) -> onnx.ModelProto:
    """Return what onnxsim makes of a graph; of code the graph itself, where that does not run or agree."""
    if not names_code(request.card):
        return onnx_graph.simplify(traced)
    batch = parity.normalised(
        parity.probe_batches(request.input)[0],
        request.input.layout,
        request.card.transform,
        mean_volume_of(request.card),
    )
    feed = batch if request.input_dtype != "uint8" else parity.probe_batches(request.input)[0]
    model, reason = onnx_graph.simplified(traced, feed)
    if reason:
        console.say(f"not simplified: {reason}")
    return model


def load_network(request: ExportRequest) -> Callable[[np.ndarray], np.ndarray]:
    """Return the card's network with the checkpoint's weights: normalised batches, float32, to outputs, float32.

    Raises:
        RequestError: a card or a checkpoint that does not fit.
    """
    fresh = build_network(request.card, request.allow_code)
    network = load_weights(fresh, request.checkpoint, request.card, request.average)
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
