"""What a file or a set of variables seems to be where it is not the checkpoint that was expected."""

from __future__ import annotations

from pathlib import Path
from typing import List, Mapping, Tuple

from clip2om.export.tensorflow.c3d import LOGITS, C3d

Shapes = Mapping[str, Tuple[int, ...]]
_SHOWN = 3
_HEAD = 1 << 16
OBJECT_BASED = "_CHECKPOINTABLE_OBJECT_GRAPH"
_BIASES = "C3D/out/biases"


def kind_of(path: Path) -> str:
    """Return in words what a file that TensorFlow cannot read seems to be, from its first bytes."""
    with open(path, "rb") as stream:
        head = stream.read(_HEAD)
    if not head:
        return "an empty file"
    if head.startswith(b"PK"):
        return "a Keras model" if b"model.weights.h5" in head else "a PyTorch checkpoint (or another zip archive)"
    if head.startswith(b"\x89HDF"):
        return "weights of Keras (HDF5)"
    if head.startswith(b"\x80"):
        return "a pickle, as PaddlePaddle and old PyTorch write them"
    if head.startswith(b"\x0a") and b"Float32" in head:
        return "a MindSpore checkpoint"
    if head.startswith(b"\x0a") and b"Placeholder" in head:
        return "a frozen graph"
    return "no checkpoint of TensorFlow, or a damaged one"


def differences(expected: Shapes, found: Shapes) -> List[str]:
    """Return in words how variables differ from the expected ones, first names only; empty where they fit."""
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    shapes = [
        f"{name} is {_say(found[name])}, expected {_say(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    named = (("missing", missing), ("unexpected", unexpected), ("different", shapes))
    return [_first(word, names) for word, names in named if names]


def describe(network: C3d, found: Shapes) -> Tuple[str, str]:
    """Return what variables that do not fit ``network`` seem to be, and what to do about it.

    Card entries are proposed only if the network they give has exactly these names and shapes.
    """
    if OBJECT_BASED in found:
        return (
            "a checkpoint of tf.train.Checkpoint, which names its variables after objects",
            "save it with tf.compat.v1.train.Saver",
        )
    kernel, biases = found.get("C3D/conv1/kernel", ()), found.get(_BIASES, ())
    if len(kernel) != len(network.variables()["C3D/conv1/kernel"]) or len(biases) != 1:
        return f"no network with the node {LOGITS}", "check --checkpoint and --model"
    factor = kernel[-1] / C3d(network.clip, 1).widths[0]
    fitting = C3d(network.clip, biases[0], factor)
    seems = f"a C3D of {biases[0]} classes" + (f", widen factor {factor:g}" if factor != network.widen_factor else "")
    if differences(fitting.variables(), found):
        return seems, "no card entry makes it fit; check --checkpoint, --model and the size of its clips"
    options = {"classes": (network.classes, biases[0]), "arguments.widen_factor": (network.widen_factor, factor)}
    changes = [f"--set model.{key}={now:g}" for key, (was, now) in options.items() if was != now]
    return seems, f"use {' '.join(changes)}"


def _first(word: str, names: List[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{word}: {', '.join(names[:_SHOWN])}{more}"


def _say(shape: Tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"
