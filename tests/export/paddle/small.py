"""A small C3D: the card c3d_paddle with one sixteenth of the width, 32x32 pixels, two clips per video, five classes."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List

import paddle

from clip2om.export.paddle.c3d import C3d
from clip2om.export.paddle.networks import build_network
from clip2om.pipeline import cards
from clip2om.pipeline.card import Card
from tests import networks

SHAPE = [3, 16, 32, 32]
SMALL = (
    "model.arguments.widen_factor=0.0625",
    "model.classes=5",
    "transform.resize=36",
    "transform.size=32",
    "clips.count=2",
    "input.batch=2",
)
SINGLE = (*SMALL, f"input.shape={SHAPE}")
SEVERAL = (*SMALL, "input.layout=NKCTHW", f"input.shape={[2, *SHAPE]}")
AVERAGED = (*SEVERAL, "export.average_clips=true")


def card(*overrides: str) -> Card:
    """Return the card c3d_paddle with overrides."""
    return cards.load("c3d_paddle", overrides)


def weights(network: C3d, name: str = "small") -> Dict[str, paddle.Tensor]:
    """Return formula weights for all entries of a network's state dict."""
    return {
        key: paddle.to_tensor(networks.weight(name, key, tuple(value.shape), "paddle"))
        for key, value in network.state_dict().items()
    }


def save(path: Path, *overrides: str, name: str = "small") -> Path:
    """Write the formula weights of the card with ``overrides`` as Paddle's training code does."""
    paddle.save(weights(build_network(card(*(overrides or SINGLE))), name), str(path))
    return path


def options(*overrides: str) -> List[str]:
    """Return overrides as options of a stage."""
    return [word for entry in overrides for word in ("--set", entry)]
