"""Small networks of both cards: a sixteenth of the width, 8x32x32 pixels, five classes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, List, Tuple

os.environ.setdefault("GLOG_v", "4")

import mindspore
import numpy as np
from mindspore import nn

from clip2om.export.mindspore import context
from clip2om.export.mindspore.networks import build_network
from clip2om.export.request import ExportRequest
from clip2om.pipeline import cards
from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.card import Card
from tests import networks

CLASSES = 5
SHAPE = (3, 8, 32, 32)
_COMMON = (
    f"model.classes={CLASSES}",
    f"input.shape={list(SHAPE)}",
    "input.batch=2",
    "clips.frames=8",
    "transform.size=32",
    "dataset.labels=",
)
RESNET3D = (
    *_COMMON,
    "model.arguments.depth=10",
    "model.arguments.widen_factor=0.0625",
    "model.arguments.conv1_t_size=3",
    "clips.stride=8",
    "transform.resize=32",
)
R2PLUS1D = (
    *_COMMON,
    "model.arguments.depth=18",
    "model.arguments.widen_factor=0.0625",
    "transform.resize=36",
    "transform.long=48",
)
CARDS: Dict[str, Tuple[str, Tuple[str, ...]]] = {
    "resnet3d": ("resnet3d_mindspore", RESNET3D),
    "r2plus1d": ("r2plus1d_mindspore", R2PLUS1D),
}


def card(kind: str, *overrides: str) -> Card:
    """Return the small card of ``resnet3d`` or ``r2plus1d``."""
    name, small = CARDS[kind]
    return cards.load(name, (*small, *overrides))


def weights(network: nn.Cell, name: str = "small") -> Dict[str, np.ndarray]:
    """Return formula weights for all parameters of a network."""
    return {
        parameter.name: networks.weight(name, parameter.name, tuple(parameter.shape))
        for parameter in network.get_parameters()
    }


def filled(network: nn.Cell, values: Dict[str, np.ndarray]) -> nn.Cell:
    """Return the network with these weights, in evaluation mode."""
    for parameter in network.get_parameters():
        parameter.set_data(mindspore.Tensor(values[parameter.name]))
    return network.set_train(False)


def network(kind: str, *overrides: str) -> nn.Cell:
    """Return the small network with its formula weights."""
    context.prepare()
    built = build_network(card(kind, *overrides))
    return filled(built, weights(built, kind))


def save(path: Path, kind: str, *overrides: str, **options: object) -> Path:
    """Write the small network's checkpoint as MindSpore's training code does: read-only."""
    mindspore.save_checkpoint(network(kind, *overrides), str(path), **options)
    return path


def request(
    kind: str,
    checkpoint: Path,
    output: Path,
    *overrides: str,
    form: str = "onnx",
    batch: int = 2,
    dtype: str = "float32",
    opset: int = 11,
    max_diff: float = 1e-4,
) -> ExportRequest:
    """Return the request of an export of the small card."""
    digest = sha256_file(checkpoint)
    return ExportRequest(card(kind, *overrides), checkpoint, digest, output, form, batch, dtype, opset, max_diff)


def options(kind: str, *overrides: str) -> List[str]:
    """Return the small card as options of a stage."""
    name, small = CARDS[kind]
    return ["--model", name, *(word for entry in (*small, *overrides) for word in ("--set", entry))]
