"""What the PyTorch exporter does in order: load, trace, simplify, check, compare, write."""

from __future__ import annotations

from pathlib import Path
from typing import Set

import numpy as np
import onnx
import torch
from torch import nn

from export import gate, onnx_graph, parity
from export.pytorch.checkpoint import load_weights
from export.pytorch.networks import build_network
from export.pytorch.onnx_from_torch import check_opset, onnx_from_torch
from export.request import RECORD, ExportRequest
from pipeline.artifact import replacing, sha256_file
from pipeline.console import Console
from pipeline.facts import versions
from pipeline.records import GraphRecord, Parity, write_record

GRAPH = "model.onnx"
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
    with replacing(request.output / GRAPH) as temporary:
        onnx.save(model, str(temporary))
        console.say("comparing ONNX Runtime with PyTorch")
        figures = measure(network, temporary, request)
        gate.check(figures, request.max_diff, request.output / GRAPH)
        # A record that outlived its graph would vouch for another one.
        (request.output / RECORD).unlink(missing_ok=True)
    record = GraphRecord(
        format="onnx",
        file=GRAPH,
        sha256=sha256_file(request.output / GRAPH),
        card=request.card.name,
        card_digest=request.digest(),
        checkpoint=str(request.checkpoint),
        checkpoint_sha256=request.checkpoint_sha256,
        opset=request.opset,
        inputs=tensors[:1],
        outputs=tensors[1:],
        versions=versions(["torch", "onnx", "onnxsim", "onnxruntime", "numpy"]),
        parity=figures,
        transform_digest=request.card.digest("transform"),
    )
    write_record(request.output / RECORD, record)
    return record


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
