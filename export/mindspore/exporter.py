"""What the MindSpore exporter does in order: load, export, repair, check, compare, write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Set

import mindspore
import onnx
from mindspore import nn

from clip2om.export import onnx_graph
from clip2om.export.mindspore import context
from clip2om.export.mindspore.checkpoint import load_weights
from clip2om.export.mindspore.comparison import compare_mindir, compare_onnx, runner
from clip2om.export.mindspore.deployed import Deployed, deployed
from clip2om.export.mindspore.graph_files import OPSET, onnx_graph_of, write_graph
from clip2om.export.mindspore.networks import build_network
from clip2om.export.publish import publish
from clip2om.export.request import ExportRequest
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.records import GraphRecord, Parity

if TYPE_CHECKING:
    from clip2om.export.run import Run

_DISTRIBUTIONS = ("mindspore", "onnx", "onnxruntime", "numpy")


def export_graph(request: ExportRequest, console: Console) -> GraphRecord:
    """Write the graph and, last, its record; an earlier graph stays until the new one has passed every check.

    Raises:
        RequestError: a card, an option or a checkpoint that does not fit, or a format that MindSpore cannot write here.
        ShortfallError: the graph has operators it should not have, or drifts from MindSpore.
    """
    context.prepare()
    check(request)
    console.say(f"loading {request.checkpoint}")
    card = request.card
    network = load_weights(build_network(card), request.checkpoint, card, request.average, console.say)
    whole = deployed(network, request)
    export = _export_onnx if request.format == "onnx" else _export_own
    return export(network, whole, request, console)


def check(request: ExportRequest) -> None:
    """Refuse what MindSpore's exporters cannot do.

    Raises:
        RequestError: naming what to use instead.
    """
    card = request.card
    if card.export.pooling != "mean":
        raise RequestError(
            f"export.pooling is {card.export.pooling!r}, MindSpore exports no pooling over a whole clip",
            card.path,
            "--set export.pooling=mean, which gives one ReduceMean",
        )
    if request.format == "onnx" and request.opset != OPSET:
        raise RequestError(
            f"opset {request.opset} cannot be written, MindSpore writes {OPSET} only", "--opset", f"use --opset {OPSET}"
        )
    if request.format == "air" and not context.has_ascend():
        raise RequestError(
            "MindSpore writes AIR only where it has an Ascend backend, and finds none here",
            "--format air",
            "run this on a host with CANN and MindSpore, or use --format onnx, which ATC takes as well",
        )


def load_network(request: ExportRequest) -> Run:
    """Return the card's network with the checkpoint's weights; see :func:`export.frameworks.load_exporter`.

    Raises:
        RequestError: a card or a checkpoint that does not fit.
    """
    context.prepare()
    network = load_weights(build_network(request.card), request.checkpoint, request.card, request.average)
    return runner(Deployed(network, request.card.export.softmax, None))


def load_graph(path: Path) -> Run:
    """Return a graph that this module exported; see :func:`export.frameworks.load_exporter`.

    Raises:
        RequestError: an AIR, which nothing but ATC reads.
    """
    if path.suffix == ".onnx":
        return onnx_graph.load(path)
    if path.suffix == ".mindir":
        context.prepare()
        return runner(nn.GraphCell(mindspore.load(str(path))))
    raise RequestError("cannot be run on this machine's CPU", path, "export --format onnx or mindir")


def operators(request: ExportRequest) -> Set[str]:
    """Return the operators that an ONNX graph may have: those that the NPU's converter documents."""
    normalising = {"Cast", "Sub", "Mul"} if request.input_dtype == "uint8" else set()
    softmax = {"Softmax"} if request.card.export.softmax else set()
    return {"Conv", "Relu", "MaxPool", "Add", "ReduceMean", "Gemm"} | normalising | softmax


def _export_onnx(network: nn.Cell, whole: nn.Cell, request: ExportRequest, console: Console) -> GraphRecord:
    console.say(f"exporting at opset {OPSET}")
    model = onnx_graph_of(whole, request)
    onnx_graph.check(model, operators(request))
    tensors = onnx_graph.describe(model, [request.input, request.logits])

    def compare(graph: Path) -> Parity:
        console.say("comparing ONNX Runtime with MindSpore")
        return compare_onnx(network, graph, request)

    return publish(request, tensors, lambda path: onnx.save(model, str(path)), compare, _DISTRIBUTIONS)


def _export_own(network: nn.Cell, whole: nn.Cell, request: ExportRequest, console: Console) -> GraphRecord:
    """Export to MINDIR or AIR."""
    console.say(f"exporting as {request.format.upper()}")

    def compare(graph: Path) -> Parity:
        console.say("comparing the graph with MindSpore's network")
        return compare_mindir(network, whole, graph, request)

    tensors = [request.input, request.logits]
    return publish(request, tensors, lambda path: write_graph(whole, request.input, path), compare, _DISTRIBUTIONS)
