"""Golden vectors of the PyTorch networks."""

from __future__ import annotations

from typing import Dict

import torch

from tests.networks import clips, close, load, uniform, weight

__all__ = ["NAMES", "clips", "close", "load", "state_dict", "uniform", "weight"]
NAMES = (
    "resnet-10",
    "resnet-18",
    "resnet-50",
    "resnet-101",
    "resnet-18-w025",
    "resnet-18-A",
    "resnet-50-A",
    "resnet-10-flow",
)


def state_dict(network: torch.nn.Module, name: str) -> Dict[str, torch.Tensor]:
    """Return formula weights for all entries of a network's state dict."""
    return {key: torch.from_numpy(weight(name, key, tuple(value.shape))) for key, value in network.state_dict().items()}
