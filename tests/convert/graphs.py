"""Tiny graphs of the kind that the exporters write: Conv, ReLU, pooling, Gemm over 5-D clips, as ONNX and frozen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, Optional, Tuple

import numpy as np

from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.records import GraphRecord, Parity, write_record
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec
from tests import frozen_graph

CARD = "3d_resnet"
SHAPE = (3, 4, 8, 8)
CLASSES = 5
LOGITS = "C3D/out/BiasAdd"


@dataclass(frozen=True)
class Graph:
    """What a test wants of a graph; ``batch`` -1 is symbolic."""

    batch: int = 4
    dtype: str = "float32"
    shape: Tuple[int, ...] = SHAPE
    width: int = 6
    seed: int = 0
    input: str = "input"
    # A Reshape that holds the batch as a constant, as careless exports have it.
    constant_reshape: bool = False
    # A bias per slot: the graph has one batch size only.
    rigid: bool = False
    # A second output, the pooled features.
    features: bool = False
    # Clips of one video per item, 0 for an input without that axis; with average, the graph gives their mean.
    clips: int = 0
    average: bool = False
    classes: int = CLASSES
    # Of a frozen graph: labels as a second input and the accuracy as a second output, as c3d_tf was published.
    batch_accuracy: bool = False

    @property
    def item(self) -> Tuple[int, ...]:
        """Shape of one item of the batch."""
        return (self.clips, *self.shape) if self.clips else self.shape

    @property
    def input_spec(self) -> TensorSpec:
        layout = "NKCTHW" if self.clips else "NCTHW"
        return TensorSpec(self.input, self.dtype, (self.batch, *self.item), layout)

    @property
    def output_specs(self) -> list:
        logits = TensorSpec("output", "float32", (self.batch, self.classes), "NC")
        if self.clips and not self.average:
            logits = TensorSpec("output", "float32", (self.batch, self.clips, self.classes), "NKC")
        features = TensorSpec("features", "float32", (self.batch, self.width), "NC")
        return [logits, features] if self.features else [logits]

    def weights(self) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return kernel (width, C, 3, 3, 3), matrix (classes, width) and bias (classes,)."""
        random = np.random.RandomState(self.seed)
        kernel = random.randn(self.width, self.shape[0], 3, 3, 3) * 0.1
        return tuple(  # type: ignore[return-value]
            array.astype(np.float32)
            for array in (kernel, random.randn(self.classes, self.width), random.randn(self.classes))
        )

    def reference(self, clips: np.ndarray) -> np.ndarray:
        """Return the output for ``clips`` (N, C, T, H, W) or (N, K, C, T, H, W), computed with NumPy in float64."""
        if self.clips:
            rows = (
                replace(self, clips=0).reference(clips.reshape(-1, *self.shape)).reshape(-1, self.clips, self.classes)
            )
            return rows.mean(axis=1) if self.average else rows
        kernel, matrix, bias = (array.astype(np.float64) for array in self.weights())
        padded = np.pad(clips.astype(np.float64), [(0, 0), (0, 0), (1, 1), (1, 1), (1, 1)])
        views = np.lib.stride_tricks.sliding_window_view(padded, (3, 3, 3), axis=(2, 3, 4))  # type: ignore[call-overload]
        features = np.maximum(np.einsum("ncthwijk,ocijk->nothw", views, kernel, optimize=True), 0)
        return features.mean(axis=(2, 3, 4)) @ matrix.T + bias


def write_onnx(graph: Graph, path: Path) -> None:
    """Write the graph as an ONNX file."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    kernel, matrix, bias = graph.weights()
    target = [graph.batch if graph.constant_reshape else -1, graph.width]
    bias = np.tile(bias, (graph.batch, 1)) if graph.rigid else bias
    constants = {"kernel": kernel, "matrix": matrix, "bias": bias, "target": np.array(target, np.int64)}
    flat = "features" if graph.features else "flat"
    nodes = [
        helper.make_node("Cast", [graph.input], ["clips"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["clips", "kernel"], ["conv"], pads=[1] * 6),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pool"]),
        helper.make_node("Reshape", ["pool", "target"], [flat]),
        helper.make_node("Gemm", [flat, "matrix", "bias"], ["output"], transB=1),
    ]
    if graph.clips:
        _take_items_apart(graph, nodes, constants)
    element = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8}[graph.dtype]
    batch = "N" if graph.batch == DYNAMIC else graph.batch
    ends = [
        helper.make_tensor_value_info(spec.name, kind, [batch, *spec.shape[1:]])
        for spec, kind in [(graph.input_spec, element), *((spec, TensorProto.FLOAT) for spec in graph.output_specs)]
    ]
    initial = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    body = helper.make_graph(nodes, "tiny", ends[:1], ends[1:], initial)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _take_items_apart(graph: Graph, nodes: list, constants: Dict[str, np.ndarray]) -> None:
    """Put a Reshape before the network, which makes N x K clips of N items, and one after it, which undoes that."""
    from onnx import helper

    constants["apart"] = np.array([-1, *graph.shape], np.int64)
    constants["together"] = np.array([-1, graph.clips, graph.classes], np.int64)
    nodes.insert(1, helper.make_node("Reshape", ["clips", "apart"], ["every"]))
    nodes[2].input[0] = "every"
    nodes[-1].output[0] = "rows"
    last = "items" if graph.average else "output"
    nodes.append(helper.make_node("Reshape", ["rows", "together"], [last]))
    if graph.average:
        nodes.append(helper.make_node("ReduceMean", ["items"], ["output"], axes=[1], keepdims=0))


def write_graph(folder: Path, graph: Optional[Graph] = None, **changes: object) -> GraphRecord:
    """Write a graph folder as the exporter leaves it and return its record, with ``changes`` to it."""
    graph = graph or Graph()
    folder.mkdir(parents=True, exist_ok=True)
    write_onnx(graph, folder / "model.onnx")
    fields = {
        "format": "onnx",
        "file": "model.onnx",
        "sha256": sha256_file(folder / "model.onnx"),
        "card": CARD,
        "card_digest": "0" * 64,
        "checkpoint": "none",
        "checkpoint_sha256": "0" * 64,
        "opset": 11,
        "inputs": [graph.input_spec],
        "outputs": graph.output_specs,
        "versions": {},
        "parity": Parity("none", 0.0, 1.0, 1.0, 1),
    }
    record = GraphRecord(**{**fields, **changes})  # type: ignore[arg-type]
    write_record(folder / "model.json", record)
    return record


def write_frozen(folder: Path, graph: Optional[Graph] = None, **changes: object) -> GraphRecord:
    """Write a graph folder with a frozen TensorFlow graph, whose clips are (N, T, H, W, C), and return its record."""
    graph = graph or Graph()
    channels, *extents = graph.shape
    shape = (graph.batch, *extents, channels)
    kernel, matrix, bias = graph.weights()
    weights = [kernel.transpose(2, 3, 4, 1, 0), matrix.T, bias]
    spec = {"name": graph.input, "dtype": graph.dtype, "shape": shape, "rigid": graph.constant_reshape}
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "model.pb"
    file.write_bytes(frozen_graph.clip_network(spec, weights, graph.batch_accuracy))
    inputs = [TensorSpec(graph.input, graph.dtype, shape, "NTHWC")]
    outputs = [TensorSpec(LOGITS, "float32", (graph.batch, CLASSES), "NC")]
    if graph.batch_accuracy:
        inputs.append(TensorSpec("batch_labels", "int32", (graph.batch, CLASSES), "NC"))
        outputs.append(TensorSpec("output", "float32", (), ""))
    own = {"format": "pb", "file": file.name, "sha256": sha256_file(file), "opset": 0}
    return write_graph(folder, graph, **{**own, "inputs": inputs, "outputs": outputs, **changes})
