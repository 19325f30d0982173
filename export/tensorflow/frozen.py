"""The frozen graph: built with the weights as constants, written, read back, run."""

from __future__ import annotations

import functools
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence

import numpy as np
import tensorflow as tf

from clip2om.export import parity
from clip2om.export.request import ExportRequest
from clip2om.export.tensorflow.c3d import DROPOUTS, LOGITS, C3d, options_of
from clip2om.pipeline.errors import RequestError, ShortfallError, last_line
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec

# The names of the published graph.
LABELS, ACCURACY = "batch_labels", "output"
_NETWORK = {"Placeholder", "Const", "Conv3D", "BiasAdd", "Relu", "MaxPool3D", "Reshape", "MatMul"}
# Attributes that TensorFlow 1.15, whose format ATC reads, does not know, by operator.
_NEWER = {"MatMul": ("grad_a", "grad_b")}


def labels_of(request: ExportRequest) -> TensorSpec:
    """Return the second input of a graph with export.batch_accuracy: one row per clip, 1 at its class."""
    return TensorSpec(LABELS, "int32", (request.batch, request.card.model.classes), "NC")


def build_graph(
    request: ExportRequest, network: C3d, weights: Mapping[str, np.ndarray], volume: Optional[np.ndarray]
) -> bytes:
    """Return the graph of a network, a serialised GraphDef.

    Args:
        request: Batch, input dtype, names, and what the card's [export] and model.arguments.dropout ask for.
        network: The network.
        weights: Its variables by name.
        volume: The card's mean volume, float32 (T, H, W, C), for a graph that takes pixels; None without.

    Raises:
        RequestError: a name that TensorFlow does not take, or that another node has.
        ShortfallError: an operator other than those that converters are known to take.
    """
    card = request.card
    with tf.Graph().as_default() as graph:
        clips = _placeholder(request.input)
        values = _normalise(clips, request, volume) if request.input_dtype == "uint8" else clips
        constants = {name: tf.constant(value, name=name) for name, value in weights.items()}
        result = network.logits(values, constants, options_of(card).dropout)
        if card.export.softmax:
            result = _named(tf.nn.softmax, result, request.logits.name)
        elif request.logits.name != LOGITS:
            result = _named(tf.identity, result, request.logits.name)
        if card.export.batch_accuracy:
            _add_accuracy(result, _placeholder(labels_of(request)))
    definition = graph.as_graph_def()
    _check_operators(definition, operators(request))
    for node in definition.node:
        for name in _NEWER.get(node.op, ()):
            node.attr.pop(name, None)
    return definition.SerializeToString()


def operators(request: ExportRequest) -> set:
    """Return the operators that the graph may have."""
    card = request.card
    pixels = {"Cast", "Sub", "Mul"} if request.input_dtype == "uint8" else set()
    dropout = {"Shape", "RandomUniform", "GreaterEqual", "Cast", "Mul"} if options_of(card).dropout else set()
    accuracy = {"ArgMax", "Equal", "Cast", "Mean"} if card.export.batch_accuracy else set()
    last = {"Softmax"} if card.export.softmax else {"Identity"} if request.logits.name != LOGITS else set()
    return _NETWORK | pixels | dropout | accuracy | last


def without_dropout(definition: Any) -> Any:
    """Return a copy of a graph whose dropout nodes are passed by: what follows them reads what they drop from."""
    copy = tf.compat.v1.GraphDef()
    copy.CopyFrom(definition)
    for node in copy.node:
        for place, name in enumerate(node.input):
            node.input[place] = DROPOUTS.get(name, name)
    return copy


def parse(content: bytes) -> Any:
    """Return a GraphDef; to import it is to change it, so it is parsed for each use."""
    return tf.compat.v1.GraphDef.FromString(content)


def describe(definition: Any, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> List[TensorSpec]:
    """Return a graph's inputs and outputs as read from it, having checked that they are those expected.

    Raises:
        ShortfallError: another name, dtype or shape.
    """
    wanted = [*inputs, *outputs]
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        names = {operation.name for operation in graph.get_operations()}
        fed = [operation.name for operation in graph.get_operations() if operation.type == "Placeholder"]
        found = [
            _spec(graph.get_tensor_by_name(f"{spec.name}:0"), spec.layout) for spec in wanted if spec.name in names
        ]
    if found != wanted or fed != [spec.name for spec in inputs]:
        raise ShortfallError(f"the graph has {', '.join(map(str, found))}, expected {', '.join(map(str, wanted))}")
    return found


def run(definition: Any, outputs: Sequence[str], feeds: Sequence[Dict[str, np.ndarray]]) -> Iterator[List[np.ndarray]]:
    """Run a graph on the CPU and yield the values of ``outputs`` for each of ``feeds``, by node name."""
    with tf.Graph().as_default():
        tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session(config=tf.compat.v1.ConfigProto(device_count={"GPU": 0})) as session:
            for feed in feeds:
                named = {f"{name}:0": value for name, value in feed.items()}
                yield session.run([f"{name}:0" for name in outputs], named)


def _placeholder(spec: TensorSpec) -> Any:
    shape = [None if extent == DYNAMIC else extent for extent in spec.shape]
    return _named(functools.partial(tf.compat.v1.placeholder, spec.dtype), shape, spec.name)


def _named(operation: Callable[..., Any], value: Any, name: str) -> Any:
    where = "input.name and export.output_name"
    try:
        result = operation(value, name=name)
    except ValueError as error:
        raise RequestError(f"{name!r} cannot be the name of a node ({last_line(error)})", where) from None
    if result.op.name != name:
        raise RequestError(f"two nodes of the graph would be called {name!r}", where, "choose another name")
    return result


def _normalise(pixels: Any, request: ExportRequest, volume: Optional[np.ndarray]) -> Any:
    """(x / scale - mean) / std as (x - scale * mean) * (1 / (scale * std)); a factor of 1 is no node."""
    transform = request.card.transform
    mean, std = parity.statistics(request.input.layout, transform, volume)
    values = tf.cast(pixels, tf.float32, name="pixels/Cast")
    offset = (mean.astype(np.float64) * transform.scale).astype(np.float32)
    factor = (1 / (std.astype(np.float64) * transform.scale)).astype(np.float32)
    if offset.any():
        values = tf.subtract(values, tf.constant(offset, name="pixels/offset"), name="pixels/Sub")
    if (factor != 1).any():
        values = tf.multiply(values, tf.constant(factor, name="pixels/factor"), name="pixels/Mul")
    return values


def _add_accuracy(scores: Any, labels: Any) -> None:
    """Share of the clips whose largest score is at their label, the first of equal ones: float32 scalar."""
    found = tf.argmax(scores, 1, name="accuracy/found")
    hits = tf.equal(found, tf.argmax(labels, 1, name="accuracy/labels"), name="accuracy/Equal")
    _named(tf.reduce_mean, tf.cast(hits, tf.float32, name="accuracy/Cast"), ACCURACY)


def _check_operators(definition: Any, allowed: set) -> None:
    strange = sorted({node.op for node in definition.node} - allowed)
    if strange:
        raise ShortfallError(
            f"the graph has operators {', '.join(strange)}, expected only {', '.join(sorted(allowed))}",
            todo="try another release of TensorFlow",
        )


def _spec(tensor: Any, layout: str) -> TensorSpec:
    shape = tuple(DYNAMIC if extent is None else extent for extent in tensor.shape.as_list())
    return TensorSpec(tensor.op.name, tensor.dtype.name, shape, layout)
