"""Paddle checkpoints into networks, and what a file is that does not fit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Callable, Dict, List, Optional, Tuple

import numpy as np

from clip2om.export.entries import read_options
from clip2om.export.paddle.c3d import C3d
from clip2om.export.paddle.networks import C3dOptions, build_network
from clip2om.export.paddle.pdparams import State, read_state
from clip2om.export.weights.locate import locate, tensors_of
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError

_SHOWN = 3
_FIRST, _LAST = "backbone.conv1a._conv.weight", "cls_head.fc_cls.weight"
_CHECK = "check --checkpoint and --model"


def load_weights(
    network: C3d, path: Path, card: Card, average: Optional[bool] = None, say: Optional[Callable[[str], None]] = None
) -> C3d:
    """Load a ``.pdparams`` file into the card's network and return it; see :mod:`export.weights.find`.

    Raises:
        RequestError: the file is no state dict, needs more than weights to be unpickled, or does not fit the card.
    """
    expected = _shapes(network)
    state = locate(tensors_of(read_state(path)), expected, path, average, say)
    problems = differences(expected, state)
    if problems:
        seems, todo = describe(state, card)
        asked = f"card {card.name} ({card.model.network}, {card.model.classes} classes)"
        raise RequestError(f"does not fit {asked}; {'; '.join(problems)}; it seems to be {seems}", path, todo)
    for name, value in state.items():
        if not np.isfinite(value).all():
            raise RequestError(f"{name} holds NaN or infinite values", path, "take an earlier checkpoint")
    network.set_state_dict(state)
    return network


def differences(expected: Dict[str, Tuple[int, ...]], found: State) -> List[str]:
    """Return in words how a state dict differs from the expected shapes, first names only; empty where it fits."""
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    shapes = [
        f"{name} is {_say(found[name])}, expected {_extents(shape)}"
        for name, shape in expected.items()
        if name in found and (found[name].shape != shape or found[name].dtype != np.float32)
    ]
    named = (("missing", missing), ("unexpected", unexpected), ("different", shapes))
    return [_first(word, names) for word, names in named if names]


def describe(state: State, card: Card) -> Tuple[str, str]:
    """Return what a state dict that does not fit the card seems to be, and what to do about it.

    Card entries are proposed only if the network they give has exactly these names and shapes.
    """
    if _FIRST.replace("._conv.", ".conv.") in state:
        return "a C3D with the names of mmaction2", "choose a card of that model, or rename the weights"
    if state.get(_FIRST[len("backbone.") :], np.zeros(0)).ndim == 5 or (_FIRST in state and _LAST not in state):
        return "the backbone of a C3D without its classifier", "pass a checkpoint of the whole network"
    if _FIRST not in state or state[_FIRST].ndim != 5 or state[_LAST].ndim != 2:
        return "another network than C3D", _CHECK
    if any(value.dtype == np.uint16 for value in state.values()):
        return "a C3D in bfloat16", "save it in float32"
    factor, classes = len(state[_FIRST]) / 64, state[_LAST].shape[1]
    seems = f"a C3D of width {factor:g}, {classes} classes"
    model = dataclasses.replace(card.model, classes=classes, arguments={"widen_factor": factor})
    fitting = dataclasses.replace(card, model=model)
    if _fits(state, fitting):
        now, then = (read_options(C3dOptions, found, "c3d") for found in (model, card.model))
        changes = [f"--set model.arguments.widen_factor={factor}"] if now.widen_factor != then.widen_factor else []
        changes += [f"--set model.classes={classes}"] if now.classes != then.classes else []
        return seems, f"use {' '.join(changes)}"
    if state[_LAST].shape[0] == card.model.classes:
        return "a C3D whose linear weights are (out, in), as PyTorch stores them", "transpose them"
    return (
        f"{seems}, for clips of another size",
        "set input.shape, clips.frames and transform.size to those of its training",
    )


def _fits(state: State, card: Card) -> bool:
    try:
        return not differences(_shapes(build_network(card)), state)
    except RequestError:
        return False


def _shapes(network: C3d) -> Dict[str, Tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def _first(word: str, names: List[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{word}: {', '.join(names[:_SHOWN])}{more}"


def _say(value: np.ndarray) -> str:
    kind = "" if value.dtype == np.float32 else f"{value.dtype} "
    return kind + _extents(value.shape)


def _extents(shape: Tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"
