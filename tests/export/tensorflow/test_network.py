"""C3D against the golden vectors and against TensorFlow's own layers of other kinds."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from clip2om.export.tensorflow.c3d import DROPOUTS, LOGITS, C3d, c3d_of
from clip2om.pipeline import cards
from clip2om.pipeline.errors import RequestError
from tests import networks
from tests.export.tensorflow import small

FULL = C3d((16, 112, 112, 3), 101)


def test_variables_are_those_of_the_golden_network() -> None:
    golden, _ = networks.load("c3d-tf")
    assert [[name, list(shape), "float32"] for name, shape in FULL.variables().items()] == golden["params"]
    assert sum(int(np.prod(shape)) for shape in FULL.variables().values()) == golden["num_parameters"] == 78409573
    assert c3d_of(cards.load("c3d_tf")) == FULL


def test_logits_are_the_golden_ones() -> None:
    _, expected = networks.load("c3d-tf")
    weights = {name: networks.weight("c3d-tf", name, shape, "tensorflow") for name, shape in FULL.variables().items()}
    clips = networks.clips("c3d-tf", (2, 3, 16, 112, 112)).transpose(0, 2, 3, 4, 1)
    logits = FULL.logits(tf.constant(clips), weights).numpy()
    assert networks.close(logits, expected["logits_f64"])


@pytest.mark.parametrize("clip", [(8, 32, 32, 3), (16, 112, 112, 3), (5, 33, 47, 3), (1, 1, 1, 3)])
def test_fc6_takes_what_the_poolings_leave(clip: tuple) -> None:
    net = C3d(clip, 4, 1 / 64)
    logits = net.logits(tf.zeros((1, *clip)), small.weights(net))
    assert logits.shape == (1, 4)


def test_small_network_is_the_one_written_with_loops() -> None:
    net = C3d((2, 7, 7, 3), 4, 1 / 64)
    weights = small.weights(net)
    clips = networks.clips("small", (2, 3, 2, 7, 7)).transpose(0, 2, 3, 4, 1)
    np.testing.assert_allclose(net.logits(tf.constant(clips), weights).numpy(), _plain(clips, weights), atol=1e-4)


def _plain(x: np.ndarray, weights: dict) -> np.ndarray:
    """C3D in NumPy: padding at the end where SAME is uneven, flattened in the order T, H, W, C."""
    x = x.astype(np.float64)
    for number in range(1, 9):
        padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (1, 1), (0, 0)])
        views = np.lib.stride_tricks.sliding_window_view(padded, (3, 3, 3), axis=(1, 2, 3))
        x = np.einsum("nthwcijk,ijkco->nthwo", views, weights[f"C3D/conv{number}/kernel"].astype(np.float64))
        x = np.maximum(x + weights[f"C3D/conv{number}/bias"], 0)
        if number in (1, 2, 4, 6, 8):
            x = _pool(x, 1 if number == 1 else 2)
    x = x.reshape(len(x), -1)
    for name in ("fc6", "fc7", "out"):
        x = x @ weights[f"C3D/{name}/weights"].astype(np.float64) + weights[f"C3D/{name}/biases"]
        x = x if name == "out" else np.maximum(x, 0)
    return x


def _pool(x: np.ndarray, frames: int) -> np.ndarray:
    steps = (frames, 2, 2)
    ends = [(0, -extent % step) for extent, step in zip(x.shape[1:4], steps)]
    x = np.pad(x, [(0, 0), *ends, (0, 0)], constant_values=-np.inf)
    n, t, h, w, c = x.shape
    return x.reshape(n, t // frames, frames, h // 2, 2, w // 2, 2, c).max(axis=(2, 4, 6))


def test_nodes_of_the_graph_have_the_recipe_s_names() -> None:
    net = small.network()
    with tf.Graph().as_default() as graph:
        clips = tf.compat.v1.placeholder(tf.float32, (None, *net.clip))
        result = net.logits(clips, small.weights(net), dropout=True)
        names = {operation.name for operation in graph.get_operations()}
    assert result.op.name == LOGITS
    assert {*DROPOUTS, *DROPOUTS.values()} <= names


def test_dropout_drops_half_of_the_values_and_doubles_the_others() -> None:
    net = small.network()
    weights = {name: np.zeros(shape, np.float32) for name, shape in net.variables().items()}
    weights["C3D/fc7/biases"] += 1
    weights["C3D/out/weights"] += 1
    width = len(weights["C3D/fc7/biases"])
    (logits,) = net.logits(tf.zeros((1, *net.clip)), weights, dropout=True).numpy()[:, :1]
    assert logits[0] % 2 == 0
    assert abs(logits[0] / 2 - width / 2) < 8 * np.sqrt(width)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.network=resnet3d", "model.network is 'resnet3d', TensorFlow checkpoints are of: c3d"),
        ("model.arguments.widen_factor=0.001", "model.arguments.widen_factor 0.001 leaves a layer without channels"),
        ("model.arguments.depth=18", "model.arguments.depth is 18, which TensorFlow's c3d does not take"),
        ("export.pooling=mean", "export.pooling is 'mean', c3d has no pooling head"),
        ("export.average_clips=true", "export.average_clips is on, layout NTHWC has no clips to average"),
    ],
)
def test_cards_without_a_network(override: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        small.network(override)


def test_layout_of_pytorch() -> None:
    with pytest.raises(RequestError, match=r"input\.layout is 'NCTHW', TensorFlow networks take NTHWC"):
        small.network("input.layout=NCTHW", f"input.shape={[3, small.FRAMES, small.SIDE, small.SIDE]}")


def test_classes_of_the_recipe_s_training_script() -> None:
    trained = cards.load("c3d_tf", ["model.classes=102", "dataset.labels=ucf101_tf"])
    assert trained.labels() == [*cards.load("c3d_tf").labels(), "(unused)"]
    assert len(trained.labels()) == trained.model.classes
