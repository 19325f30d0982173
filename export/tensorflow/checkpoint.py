"""Checkpoints of TensorFlow's Saver into arrays, read by TensorFlow, compared by us.

Restoring into a graph would not do: with resource variables, TensorFlow 2 restores a variable of another shape
without a word, and the published training has one class more than the published freezing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np
import tensorflow as tf

from clip2om.export.tensorflow.c3d import C3d
from clip2om.export.tensorflow.recognition import OBJECT_BASED, describe, differences, kind_of
from clip2om.export.weights.locate import choose_where_it_fits
from clip2om.export.weights.stored import Stored
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError, last_line

_AVERAGE = "/ExponentialMovingAverage"


def load_weights(
    network: C3d,
    prefix: Path,
    card: Card,
    average: Optional[bool] = None,
    say: Optional[Callable[[str], None]] = None,
) -> Dict[str, np.ndarray]:
    """Return the value of every variable of a network by name, float32.

    What training alone needs is left out: slots of optimizers and averages, whose names go on after a variable's, and
    scalars, such as the powers of Adam's betas and the count of steps.

    Args:
        network: The network.
        prefix: The checkpoint, as TensorFlow opens it.
        card: For the message.
        average: The averages over training steps are wanted, or are not; see :func:`export.weights.find.choose`.
        say: Gets a line for each thing that was not as plain as it could be.

    Raises:
        RequestError: no checkpoint of TensorFlow, a damaged one, one that does not fit the network, or NaN in it.
    """
    reader = _open(prefix)
    expected = network.variables()
    shapes = {name: tuple(shape) for name, shape in sorted(reader.get_variable_to_shape_map().items())}
    names = _located(shapes, expected, prefix, average, say)
    if names is not None:
        return {name: _read(reader, names[name], prefix) for name in expected}
    found = {name: shape for name, shape in shapes.items() if not _is_training(name, shape, expected)}
    problems = differences(expected, found)
    if problems:
        asked = f"card {card.name} (C3D, {network.classes} classes)"
        seems, todo = describe(network, found)
        raise RequestError(f"does not fit {asked}; {'; '.join(problems)}; it seems to be {seems}", prefix, todo)
    return {name: _read(reader, name, prefix) for name in expected}


def _located(
    shapes: Dict[str, Tuple[int, ...]],
    expected: Dict[str, Tuple[int, ...]],
    prefix: Path,
    average: Optional[bool],
    say: Optional[Callable[[str], None]],
) -> Optional[Dict[str, str]]:
    """Return what each variable of the network is called in a checkpoint, None where it does not hold them all.

    A Saver writes averages beside the variables, ``NAME/ExponentialMovingAverage``; towers and scopes are prefixes.
    """
    split: Dict[str, Dict[str, Stored]] = {"variables": {}, "ema": {}}
    for name, shape in shapes.items():
        kind = "ema" if name.endswith(_AVERAGE) else "variables"
        # Only names and shapes are looked at: the values are those of the reader.
        split[kind][name[: -len(_AVERAGE)] if kind == "ema" else name] = Stored("float32", shape, problem=name)
    content = {key: part for key, part in split.items() if part}
    chosen = choose_where_it_fits(content, expected, prefix, average, say)
    if chosen is None:
        return None
    return {name: chosen.state[name].problem for name in expected}


def _open(prefix: Path) -> Any:
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        reader.get_variable_to_shape_map()
        return reader
    except MemoryError:
        raise
    except Exception as error:  # a damaged index makes TensorFlow raise errors of many kinds
        if prefix.is_file():
            raise RequestError(f"is {kind_of(prefix)}", prefix, "check --checkpoint and --model") from None
        raise RequestError(f"TensorFlow cannot read it ({last_line(error)})", prefix, "copy it again") from None


def _read(reader: Any, name: str, prefix: Path) -> np.ndarray:
    try:
        value = np.asarray(reader.get_tensor(name))
    except MemoryError:
        raise
    except Exception as error:
        raise RequestError(f"{name} cannot be read ({last_line(error)})", prefix, "copy it again") from None
    # bfloat16 is no NumPy type of its own: its kind is V.
    if value.dtype.kind not in "fV":
        raise RequestError(f"{name} is {value.dtype}, expected float32", prefix, "check --checkpoint")
    value = value.astype(np.float32)
    if not np.isfinite(value).all():
        raise RequestError(f"{name} holds NaN or infinite values", prefix, "take an earlier checkpoint")
    return value


def _is_training(name: str, shape: Tuple[int, ...], expected: Dict[str, Tuple[int, ...]]) -> bool:
    if name in expected or name == OBJECT_BASED:
        return False
    return not shape or any(f"/{own}/" in f"/{name}" for own in expected)
