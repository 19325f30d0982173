"""Golden vectors of the PyTorch networks."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np
import torch

from clip2om.export.pytorch.networks import make_network
from clip2om.pipeline.card import Model
from tests.networks import clips, close, load, uniform, weight

__all__ = ["NAMES", "clips", "close", "load", "make", "model_of", "state_dict", "uniform", "weight"]
# Golden network: model.network, model.depth (0: the family has one), further parameters.
NAMES: Dict[str, Tuple[str, int, Dict[str, Any]]] = {
    "resnet-10": ("resnet3d", 10, {}),
    "resnet-18": ("resnet3d", 18, {}),
    "resnet-50": ("resnet3d", 50, {}),
    "resnet-101": ("resnet3d", 101, {}),
    "resnet-18-w025": ("resnet3d", 18, {"widen_factor": 0.25}),
    "resnet-18-A": ("resnet3d", 18, {"shortcut": "A"}),
    "resnet-50-A": ("resnet3d", 50, {"shortcut": "A"}),
    "resnet-10-flow": (
        "resnet3d",
        10,
        {"widen_factor": 0.25, "conv1_t_size": 3, "conv1_t_stride": 2, "no_max_pool": True},
    ),
    "resnet2p1d-18": ("resnet2p1d", 18, {}),
    "resnet2p1d-50": ("resnet2p1d", 50, {}),
    "resnet2p1d-10-flow": ("resnet2p1d", 10, {"widen_factor": 0.25, "conv1_t_size": 3, "conv1_t_stride": 2}),
    "preresnet-18": ("preresnet", 18, {}),
    "preresnet-50": ("preresnet", 50, {}),
    "wideresnet-50": ("wideresnet", 50, {}),
    "resnext-50": ("resnext", 50, {}),
    "resnext-101": ("resnext", 101, {}),
    "densenet-121": ("densenet", 121, {}),
    "gluon-r2plus1d-34": ("r2plus1d", 34, {}),
    "c3d-mmaction": ("c3d", 0, {}),
}


def model_of(name: str) -> Model:
    """Return the ``[model]`` of a golden network."""
    network, depth, options = NAMES[name]
    classes = load(name)[0]["classes"]
    return Model("pytorch", network, classes, arguments={**({"depth": depth} if depth else {}), **options})


def make(name: str) -> Tuple[torch.nn.Module, Dict[str, Any], Dict[str, np.ndarray]]:
    """Return a golden network in evaluation mode, with fresh weights, its description and its expected arrays."""
    description, expected = load(name)
    clip = tuple(description["logical_clips_NCTHW"][1:])
    return make_network(model_of(name), clip).eval(), description, expected


def state_dict(network: torch.nn.Module, name: str) -> Dict[str, torch.Tensor]:
    """Return formula weights for all entries of a network's state dict."""
    return {key: torch.from_numpy(weight(name, key, tuple(value.shape))) for key, value in network.state_dict().items()}
