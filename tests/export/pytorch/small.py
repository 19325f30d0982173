"""Small versions of the PyTorch cards: the card's own entries but width, depth and clip size."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Tuple

import torch

from clip2om.export.pytorch.networks import build_network
from clip2om.pipeline import cards
from clip2om.pipeline.card import Card
from tests.export import golden

_CLIP = ("model.classes=5", "transform.resize=36", "transform.size=32")
_PLAIN = (*_CLIP, "input.shape=[3, 16, 32, 32]")
# The card's own entries, and the operators of its graph at this size, with the pooling head of the card.
CARDS: Dict[str, Tuple[Tuple[str, ...], Dict[str, int]]] = {
    "c3d_mmaction": (
        (*_CLIP, "model.arguments.widen_factor=0.0625", "clips.count=2", "input.shape=[2, 3, 16, 32, 32]"),
        {"Conv": 8, "Relu": 10, "MaxPool": 5, "Flatten": 1, "Gemm": 3, "Reshape": 2, "Softmax": 1},
    ),
    "r2plus1d": (
        (*_PLAIN, "model.arguments.widen_factor=0.125", "model.arguments.depth=18"),
        {"Conv": 37, "Relu": 34, "MaxPool": 1, "Add": 8, "AveragePool": 1, "Flatten": 1, "Gemm": 1},
    ),
    "preresnet": (
        (*_PLAIN, "model.arguments.widen_factor=0.125", "model.arguments.depth=18"),
        {
            "Conv": 20,
            "BatchNormalization": 8,
            "Relu": 17,
            "MaxPool": 1,
            "Add": 8,
            "AveragePool": 1,
            "Flatten": 1,
            "Gemm": 1,
        },
    ),
    "wideresnet": (
        (*_PLAIN, "model.arguments.widen_factor=0.0625"),
        {"Conv": 53, "Relu": 49, "MaxPool": 1, "Add": 16, "AveragePool": 1, "Flatten": 1, "Gemm": 1},
    ),
    "resnext": (
        (*_PLAIN, "model.arguments.widen_factor=0.25", "model.arguments.depth=50", "model.arguments.cardinality=4"),
        {"Conv": 53, "Relu": 49, "MaxPool": 1, "Add": 16, "AveragePool": 1, "Flatten": 1, "Gemm": 1},
    ),
    "densenet": (
        (*_PLAIN, "model.arguments.widen_factor=0.125"),
        {
            "Conv": 120,
            "BatchNormalization": 62,
            "Relu": 121,
            "Concat": 58,
            "MaxPool": 1,
            "AveragePool": 4,
            "Flatten": 1,
            "Gemm": 1,
        },
    ),
}


def card(name: str, *overrides: str) -> Card:
    """Return the small version of a card, with further overrides."""
    return cards.load(name, [*CARDS[name][0], *overrides])


def checkpoint(folder: Path, made: Card) -> Path:
    """Write formula weights for a card's network in the container that its training code writes."""
    state = golden.state_dict(build_network(made), made.name)
    if made.model.network == "c3d":
        # Pixels less a mean are large numbers: a smaller last layer keeps the probabilities away from 0 and 1.
        state["cls_head.fc_cls.weight"] *= 0.01
    container = {"meta": {"epoch": 45}} if made.model.network == "c3d" else {"epoch": 200}
    path = folder / f"{made.name}.pth"
    torch.save({**container, "state_dict": state}, path)
    return path


def options(*overrides: str) -> List[str]:
    """Return overrides as options of a stage."""
    return [word for entry in overrides for word in ("--set", entry)]
