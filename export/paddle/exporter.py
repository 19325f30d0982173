"""Paddle export: checkpoint, network, graph, parity, in this order; nothing is written before the parity gate."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Set

import numpy as np
import onnx
import paddle

from clip2om.export import onnx_graph, parity
from clip2om.export.paddle.checkpoint import load_weights
from clip2om.export.paddle.networks import build_network
from clip2om.export.paddle.onnx_from_paddle import check_opset, onnx_from_paddle
from clip2om.export.paddle.quiet import hushed
from clip2om.export.publish import publish
from clip2om.export.request import ExportRequest
from clip2om.pipeline.console import Console
from clip2om.pipeline.mean_volume import mean_volume_of
from clip2om.pipeline.records import GraphRecord, Parity

_DISTRIBUTIONS = ("paddlepaddle", "paddle2onnx", "onnx", "onnxsim", "onnxruntime", "numpy")


def export_graph(request: ExportRequest, console: Console) -> GraphRecord:
    """Write the graph and, last, its record; an earlier graph stays until the new one has passed every check.

    Raises:
        RequestError: a card, an option or a checkpoint that does not fit.
        ShortfallError: the graph has operators it should not have, or drifts from Paddle.
    """
    check_opset(request.opset)
    console.say(f"loading {request.checkpoint}")
    card = request.card
    network = load_weights(build_network(card), request.checkpoint, card, request.average, console.say)
    console.say(f"exporting at opset {request.opset}")
    model = onnx_graph.simplify(onnx_from_paddle(network, request))
    onnx_graph.check(model, operators(request))
    tensors = onnx_graph.describe(model, [request.input, request.logits])

    def compare(graph: Path) -> Parity:
        console.say("comparing ONNX Runtime with Paddle")
        return measure(_eager(network), graph, request)

    return publish(request, tensors, lambda path: onnx.save(model, str(path)), compare, _DISTRIBUTIONS)


def operators(request: ExportRequest) -> Set[str]:
    """Return the operators that the graph of a C3D may have: those that the NPU's converter documents."""
    several = "K" in request.card.input.layout
    known = {"Conv", "Relu", "MaxPool", "Reshape", "MatMul", "Add", "Gemm"}
    known |= {"Cast", "Sub", "Mul"} if request.input_dtype == "uint8" else set()
    known |= {"Softmax"} if request.card.export.softmax else set()
    return known | ({"ReduceMean"} if several and request.card.export.average_clips else set())


def load_network(request: ExportRequest) -> Callable[[np.ndarray], np.ndarray]:
    """Return the card's network with the checkpoint's weights: normalised batches, float32, to outputs, float32.

    Raises:
        RequestError: a card or a checkpoint that does not fit.
    """
    return _eager(load_weights(build_network(request.card), request.checkpoint, request.card, request.average))


def measure(network: Callable[[np.ndarray], np.ndarray], graph: Path, request: ExportRequest) -> Parity:
    """Return how far a graph's outputs are from the network's on pixels new to both.

    The network gets normalised values also where the graph takes pixels, so that the folding is part of the test.
    """
    pixels = parity.probe_batches(request.input)
    layout, transform, volume = request.input.layout, request.card.transform, mean_volume_of(request.card)
    values = [parity.normalised(batch, layout, transform, volume) for batch in pixels]
    reference = np.concatenate([network(batch) for batch in values])
    batches = pixels if request.input_dtype == "uint8" else values
    found, classes = onnx_graph.run(graph, batches), request.card.model.classes
    return parity.compare(reference.reshape(-1, classes), found.reshape(-1, classes), "Paddle eager")


def _eager(network: paddle.nn.Layer) -> Callable[[np.ndarray], np.ndarray]:
    network.eval()

    def call(values: np.ndarray) -> np.ndarray:
        with paddle.no_grad(), hushed():
            return network(paddle.to_tensor(values)).numpy()

    return call
