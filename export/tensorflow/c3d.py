"""C3D under the variable names of C3D-Tensorflow-slim: eight 3x3x3 convolutions, five poolings, three linear layers.

Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks", ICCV 2015. Every padding is SAME: the
last pooling of a 7x7 plane adds one row and one column at the end, where PyTorch's C3D adds them on both sides, and fc6
sums in the order frame, row, column, channel. So the weights of the two are not interchangeable.

The network is one function over plain operations. It runs eagerly, or builds a graph whose nodes have the recipe's
names; tf.layers and slim, with which the recipe built it, are gone from TensorFlow 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Tuple

import tensorflow as tf

from clip2om.export.entries import check_entries, read_options
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError

LOGITS = "C3D/out/BiasAdd"
# Dropout node to what it drops from.
DROPOUTS = {"C3D/dropout6": "C3D/fc6/Relu", "C3D/dropout7": "C3D/fc7/Relu"}
# Width of each convolution, and the window of the pooling that follows it, if one does; it moves by its own size.
_CONVOLUTIONS: Tuple[Tuple[int, Tuple[int, ...]], ...] = (
    (64, (1, 2, 2)),
    (128, (2, 2, 2)),
    (256, ()),
    (256, (2, 2, 2)),
    (512, ()),
    (512, (2, 2, 2)),
    (512, ()),
    (512, (2, 2, 2)),
)
_LINEAR = 4096
_KERNEL = (3, 3, 3)
_KEEP = 0.5


@dataclass(frozen=True)
class C3dOptions:
    """The factor of all widths, the padding that a card may name (it is ``SAME`` in any case), and dropout.

    ``dropout`` leaves dropout active in the graph, as the published c3d_tf conversion does.
    """

    classes: int
    widen_factor: float = 1.0
    same_padding: bool = True
    dropout: bool = False


@dataclass(frozen=True)
class C3d:
    """The shapes of one network.

    Attributes:
        clip: Frames, height, width and channels of the input.
        classes: Number of classes.
        widen_factor: Scales the width of every layer but the last.
    """

    clip: Tuple[int, ...]
    classes: int
    widen_factor: float = 1.0

    def variables(self) -> Dict[str, Tuple[int, ...]]:
        """Return the shape of every variable by name, in the order of the layers."""
        shapes: Dict[str, Tuple[int, ...]] = {}
        channels = self.clip[3]
        for number, width in enumerate(self.widths, 1):
            shapes[f"C3D/conv{number}/kernel"] = (*_KERNEL, channels, width)
            shapes[f"C3D/conv{number}/bias"] = (width,)
            channels = width
        linear = self._scaled(_LINEAR)
        for name, rows, columns in (
            ("fc6", self.features, linear),
            ("fc7", linear, linear),
            ("out", linear, self.classes),
        ):
            shapes[f"C3D/{name}/weights"] = (rows, columns)
            shapes[f"C3D/{name}/biases"] = (columns,)
        return shapes

    @property
    def widths(self) -> Tuple[int, ...]:
        """Output channels of each convolution."""
        return tuple(self._scaled(width) for width, _ in _CONVOLUTIONS)

    @property
    def features(self) -> int:
        """Values that fc6 takes of one clip."""
        extents = list(self.clip[:3])
        for _, window in _CONVOLUTIONS:
            extents = [-(-extent // stride) for extent, stride in zip(extents, window or (1, 1, 1))]
        return extents[0] * extents[1] * extents[2] * self.widths[-1]

    def _scaled(self, width: int) -> int:
        return int(width * self.widen_factor)

    def logits(self, clips: Any, weights: Mapping[str, Any], dropout: bool = False) -> Any:
        """Map normalised clips, float32 (N, T, H, W, C), to logits, float32 (N, classes).

        Args:
            clips: The clips.
            weights: Every variable's value by name.
            dropout: Drop half of the values after fc6 and fc7, other ones at every run, as in training.
        """
        x = clips
        for number, (_, window) in enumerate(_CONVOLUTIONS, 1):
            name = f"C3D/conv{number}"
            x = tf.nn.conv3d(x, weights[f"{name}/kernel"], [1] * 5, "SAME", name=f"{name}/Conv3D")
            x = tf.nn.relu(tf.nn.bias_add(x, weights[f"{name}/bias"], name=f"{name}/BiasAdd"), name=f"{name}/Relu")
            if window:
                x = tf.nn.max_pool3d(x, window, window, "SAME", name=f"C3D/pool{number}")
        # A constant target leaves the batch open without a chain of Shape nodes.
        x = tf.reshape(x, [-1, self.features], name="C3D/flatten")
        for name, dropped in zip(("fc6", "fc7"), DROPOUTS):
            x = tf.nn.relu(_linear(x, weights, f"C3D/{name}"), name=f"C3D/{name}/Relu")
            if dropout:
                x = _drop(x, dropped)
        return _linear(x, weights, "C3D/out")


def options_of(card: Card) -> C3dOptions:
    """Return the options of the card's network.

    Raises:
        RequestError: one that it does not take, or of another type.
    """
    return read_options(C3dOptions, card.model, "TensorFlow's c3d", card.path)


def c3d_of(card: Card) -> C3d:
    """Return the card's network.

    Raises:
        RequestError: another network, an entry it does not take, an input layout other than NTHWC, or a factor that
            leaves no channels.
    """
    if card.model.network != "c3d":
        raise RequestError(f"model.network is {card.model.network!r}, TensorFlow checkpoints are of: c3d", card.path)
    if card.input.layout != "NTHWC":
        raise RequestError(f"input.layout is {card.input.layout!r}, TensorFlow networks take NTHWC", card.path)
    check_entries(card, pooled=False)
    options = options_of(card)
    network = C3d(card.input.shape, options.classes, options.widen_factor)
    if min(network.widths) < 1:
        raise RequestError(
            f"model.arguments.widen_factor {options.widen_factor} leaves a layer without channels", card.path
        )
    return network


def _linear(x: Any, weights: Mapping[str, Any], name: str) -> Any:
    product = tf.matmul(x, weights[f"{name}/weights"], name=f"{name}/MatMul")
    return tf.nn.bias_add(product, weights[f"{name}/biases"], name=f"{name}/BiasAdd")


def _drop(x: Any, name: str) -> Any:
    """Drop as TensorFlow 1.15 does: a value stays where a uniform number reaches the rate, scaled up by 1 / keep."""
    uniform = tf.random.uniform(tf.shape(x), name=f"{name}/random_uniform")
    kept = tf.cast(tf.greater_equal(uniform, 1 - _KEEP, name=f"{name}/GreaterEqual"), tf.float32, name=f"{name}/Cast")
    return tf.multiply(tf.multiply(x, 1 / _KEEP, name=f"{name}/mul"), kept, name=name)
