"""What the TensorFlow exporter does in order: load, build, check, compare, write."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

import numpy as np
import tensorflow as tf

from clip2om.export import parity
from clip2om.export.publish import publish
from clip2om.export.request import RECORD, ExportRequest
from clip2om.export.tensorflow import frozen
from clip2om.export.tensorflow.c3d import C3d, c3d_of, options_of
from clip2om.export.tensorflow.checkpoint import load_weights
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import ShortfallError
from clip2om.pipeline.mean_volume import mean_volume_of
from clip2om.pipeline.records import GraphRecord, Parity, read_record
from clip2om.pipeline.tensor import TensorSpec

_DISTRIBUTIONS = ("tensorflow", "tensorflow_cpu", "numpy")
# The mean of a batch in float32.
_ROUNDING = 1e-6
Run = Callable[[np.ndarray], np.ndarray]


def export_graph(request: ExportRequest, console: Console) -> GraphRecord:
    """Write the graph and, last, its record; an earlier graph stays until the new one has passed every check.

    A graph with dropout draws random numbers whenever it runs, so its logits cannot be compared with anything.
    What can be, is: the written graph with its dropout nodes passed by, against the network without dropout.

    Raises:
        RequestError: a card, an option or a checkpoint that does not fit.
        ShortfallError: the graph is not as expected, or drifts from TensorFlow.
    """
    console.say(f"loading {request.checkpoint}")
    volume = mean_volume_of(request.card)
    network = c3d_of(request.card)
    weights = load_weights(network, request.checkpoint, request.card, request.average, console.say)
    console.say("building the graph")
    content = frozen.build_graph(request, network, weights, volume)
    inputs, outputs = tensors_of(request)
    tensors = frozen.describe(frozen.parse(content), inputs, outputs)
    eager = _eager(network, weights, request)
    if options_of(request.card).dropout:
        console.warn(
            "model.arguments.dropout leaves dropout active: the graph gives other scores at every run; "
            "compared are graph and TensorFlow without it"
        )

    def compare(graph: Path) -> Parity:
        console.say("comparing the graph with TensorFlow")
        return measure(eager, graph, request, volume)

    return publish(request, tensors, lambda path: _write(content, path), compare, _DISTRIBUTIONS, len(outputs))


def load_network(request: ExportRequest) -> Run:
    """Return the network with the checkpoint's weights, dropout off, run eagerly.

    It maps normalised clips, float32 (N, T, H, W, C) for any N, to logits or, with export.softmax, probabilities,
    float32 (N, classes).
    """
    network = c3d_of(request.card)
    return _eager(network, load_weights(network, request.checkpoint, request.card, request.average), request)


def load_graph(path: Path) -> Run:
    """Return an exported graph, run by TensorFlow on the CPU: from a batch as the graph takes it to its scores."""
    record = read_record(path.parent / RECORD, GraphRecord, "export it again")
    definition, feed, scores = frozen.parse(path.read_bytes()), record.inputs[0].name, record.outputs[0].name

    def execute(batch: np.ndarray) -> np.ndarray:
        ((result,),) = frozen.run(definition, [scores], [{feed: batch}])
        return result

    return execute


def tensors_of(request: ExportRequest) -> Tuple[List[TensorSpec], List[TensorSpec]]:
    """Return the inputs and outputs of the graph; with export.batch_accuracy labels and accuracy are the second."""
    if not request.card.export.batch_accuracy:
        return [request.input], [request.logits]
    return [request.input, frozen.labels_of(request)], [request.logits, TensorSpec(frozen.ACCURACY, "float32", (), "")]


def measure(eager: Run, graph: Path, request: ExportRequest, volume: Optional[np.ndarray]) -> Parity:
    """Return how far a graph's scores are from those of the network, run eagerly, on pixels new to both.

    The network gets normalised values also where the graph takes pixels, so that the folding is part of the test.

    Raises:
        ShortfallError: the graph's accuracy is not the one that its own scores have.
    """
    pixels = parity.probe_batches(request.input)
    transform, layout = request.card.transform, request.input.layout
    values = [parity.normalised(batch, layout, transform, volume) for batch in pixels]
    reference = [eager(batch) for batch in values]
    batches = pixels if request.input_dtype == "uint8" else values
    feeds = [{request.input.name: batch} for batch in batches]
    content = graph.read_bytes()
    if request.card.export.batch_accuracy:
        _check_accuracy(frozen.parse(content), feeds, reference, request)
    definition = frozen.parse(content)
    if options_of(request.card).dropout:
        definition = frozen.without_dropout(definition)
    scores = [found for (found,) in frozen.run(definition, [request.logits.name], feeds)]
    return parity.compare(np.concatenate(reference), np.concatenate(scores), _name(request))


def _check_accuracy(
    definition: Any, feeds: List[Dict[str, np.ndarray]], reference: List[np.ndarray], request: ExportRequest
) -> None:
    """Compare the graph's accuracy with that of its own scores, on labels that are right for every second clip."""
    classes = request.card.model.classes
    labels = []
    for scores in reference:
        right = scores.argmax(axis=1)
        labels.append(np.eye(classes, dtype=np.int32)[(right + np.arange(len(right)) % 2) % classes])
    fed = [{**feed, frozen.LABELS: rows} for feed, rows in zip(feeds, labels)]
    for rows, (scores, found) in zip(labels, frozen.run(definition, [request.logits.name, frozen.ACCURACY], fed)):
        expected = float(np.mean(scores.argmax(axis=1) == rows.argmax(axis=1)))
        if abs(float(found) - expected) > _ROUNDING:
            raise ShortfallError(f"the graph gives the accuracy {float(found):g}, its scores have {expected:g}")


def _eager(network: C3d, weights: Mapping[str, np.ndarray], request: ExportRequest) -> Run:
    constants = {name: tf.constant(value) for name, value in weights.items()}

    def execute(clips: np.ndarray) -> np.ndarray:
        scores = network.logits(tf.constant(clips), constants)
        return np.asarray(tf.nn.softmax(scores) if request.card.export.softmax else scores)

    return execute


def _name(request: ExportRequest) -> str:
    return "TensorFlow eager, both without dropout" if options_of(request.card).dropout else "TensorFlow eager"


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)
