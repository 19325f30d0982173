"""A small C3D: the card c3d_tf with one sixteenth of the width, eight frames of 32x32 pixels, five classes."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np
import tensorflow as tf

from clip2om.export.tensorflow.c3d import C3d, c3d_of
from clip2om.pipeline import cards
from clip2om.pipeline.card import Card
from tests import networks

FRAMES, SIDE, CLASSES = 8, 32, 5
SMALL = (
    "model.arguments.widen_factor=0.0625",
    f"model.classes={CLASSES}",
    f"input.shape={[FRAMES, SIDE, SIDE, 3]}",
    "input.batch=2",
    f"clips.frames={FRAMES}",
    f"transform.size={SIDE}",
    f"transform.resize={SIDE}",
)
PLAIN = (*SMALL, "transform.mean_volume=")
TRAINING = ("Adam", "Adam_1", "Momentum", "ExponentialMovingAverage")


def card(*overrides: str) -> Card:
    """Return the small card with overrides."""
    return cards.load("c3d_tf", [*PLAIN, *overrides])


def network(*overrides: str) -> C3d:
    """Return the network of the small card."""
    return c3d_of(card(*overrides))


def weights(shapes: C3d, name: str = "small") -> Dict[str, np.ndarray]:
    """Return formula weights for all variables of a network; the small one's logits are made a few units large."""
    values = {key: networks.weight(name, key, shape, "tensorflow") for key, shape in shapes.variables().items()}
    return {key: value * np.float32(0.1) if key == "C3D/conv1/kernel" else value for key, value in values.items()}


def save(
    prefix: Path, values: Dict[str, np.ndarray], resource: bool = False, training: bool = False, sharded: bool = False
) -> Path:
    """Write a checkpoint with TensorFlow 1's Saver, as the recipe's training does, and return its prefix.

    Args:
        prefix: Path without the suffixes.
        values: Variables by name.
        resource: Use the resource variables of TensorFlow 2 in place of TensorFlow 1's.
        training: Add what Adam, momentum, averages and the count of steps leave.
        sharded: One data file per device of the graph.
    """
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default():
        for number, (name, value) in enumerate(values.items()):
            with tf.device(f"/cpu:{number % 2}" if sharded else None):
                _variable(name, value, resource)
                for slot in TRAINING if training else ():
                    _variable(f"{name}/{slot}", np.ones_like(value), resource)
        if training:
            for name in ("beta1_power", "beta2_power"):
                _variable(name, np.float32(0.9), resource)
            _variable("global_step", np.int64(39), resource)
        with tf.compat.v1.Session(config=tf.compat.v1.ConfigProto(device_count={"CPU": 2})) as session:
            session.run(tf.compat.v1.global_variables_initializer())
            tf.compat.v1.train.Saver(sharded=sharded).save(session, str(prefix))
    return prefix


def _variable(name: str, value: np.ndarray, resource: bool) -> None:
    tf.compat.v1.get_variable(name, initializer=value, use_resource=resource)


def options(*overrides: str) -> List[str]:
    """Return overrides as options of a stage."""
    return [word for entry in (*SMALL, *overrides) for word in ("--set", entry)]


def plain(*overrides: str) -> List[str]:
    """Return overrides as options of a stage, without a mean volume."""
    return options("transform.mean_volume=", *overrides)


def volume(path: Path, shape: Optional[Tuple[int, ...]] = None) -> np.ndarray:
    """Write a mean volume for the small card and return it: another value at every place."""
    values = 90 + 30 * networks.uniform("small", "volume", FRAMES * SIDE * SIDE * 3)
    made = values.reshape(shape or (FRAMES, SIDE, SIDE, 3)).astype(np.float32)
    np.save(path, made)
    return made
