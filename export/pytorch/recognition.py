"""What network a state dict belongs to, and how it differs from another, read from its names and shapes."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Dict, List, Optional, Tuple

import torch
from torch import Tensor

from export.pytorch.networks import build_network
from export.pytorch.resnet3d import DEPTHS, WIDTHS, BasicBlock, Bottleneck
from pipeline.card import Card
from pipeline.errors import RequestError

State = Dict[str, Tensor]
_SHOWN = 3
_PUBLISHED_ARCH = re.compile(r"(resnet|resnet2p1d|preresnet|wideresnet|resnext|densenet)-\d+")
# Weights that the residual families share, with their rank: a 2-D network of the same names has 4 instead of 5.
_LANDMARKS = {
    "conv1.weight": 5,
    "layer1.0.conv1.weight": 5,
    "layer1.0.conv2.weight": 5,
    "layer2.0.conv1.weight": 5,
    "layer2.0.bn1.weight": 1,
    "layer4.0.conv2.weight": 5,
    "fc.weight": 2,
}


def arch_of(card: Card) -> str:
    """Return the name that published checkpoints of the card's network carry as ``arch``, such as ``resnet-50``."""
    return f"resnet-{card.model.depth}"


def contradicts(arch: Optional[str], card: Card) -> bool:
    """Return whether ``arch`` is one of the published names, and another one than the card's."""
    return arch is not None and _PUBLISHED_ARCH.fullmatch(arch) is not None and arch != arch_of(card)


def differences(expected: State, found: State) -> List[str]:
    """Return in words how a state dict differs from the expected one, first names only; empty where it fits.

    Counts of batches may be missing: PyTorch before 0.4.1 did not write them, and inference does not read them.
    """
    missing = [name for name in expected if name not in found and not name.endswith(".num_batches_tracked")]
    unexpected = [name for name in found if name not in expected]
    shapes = [
        f"{name} is {_say(found[name])}, expected {_say(value)}"
        for name, value in expected.items()
        if name in found and (found[name].shape, found[name].dtype) != (value.shape, value.dtype)
    ]
    named = (("missing", missing), ("unexpected", unexpected), ("different", shapes))
    return [_first(word, names) for word, names in named if names]


def describe(state: State, card: Card) -> Tuple[str, str]:
    """Return what a state dict that does not fit the card seems to be, and what to do about it.

    Card entries are proposed only if the network they give has exactly these names and shapes.
    """
    family = family_of(state)
    if family is None:
        return "no network of the 3D-ResNets family", "check --checkpoint and --model"
    if family != "resnet":
        return f"a {family} of the 3D-ResNets family", "choose a card of that network"
    options = resnet_options(state)
    seems = f"a 3D ResNet-{options.get('depth', '?')}, shortcut {options['shortcut']}, {options['classes']} classes"
    fitting = dataclasses.replace(card, model=dataclasses.replace(card.model, **options))
    if not _fits(state, fitting):
        return seems, "no card entry makes it fit; check --checkpoint and --model"
    changes = [f"--set model.{key}={value}" for key, value in options.items() if value != getattr(card.model, key)]
    return seems, f"use {' '.join(changes)}" if changes else "the weights fit and arch does not: check which file it is"


def family_of(state: State) -> Optional[str]:
    """Return which of the 3D-ResNets families a state dict belongs to, or None for any other network."""
    if "features.denseblock1.denselayer1.conv2.weight" in state or "features.conv0.weight" in state:
        return "densenet"
    if "conv1_s.weight" in state:
        return "resnet2p1d"
    if any(name not in state or state[name].dim() != rank for name, rank in _LANDMARKS.items()):
        return None
    if len(state["layer2.0.bn1.weight"]) != len(state["layer2.0.conv1.weight"]):
        return "preresnet"
    narrow = state["layer1.0.conv2.weight"]
    if narrow.shape[1] != len(state["layer1.0.conv1.weight"]):
        return "resnext"
    wide = state.get("layer1.0.conv3.weight", narrow)
    return "wideresnet" if wide.shape[:1] == (2 * len(narrow),) else "resnet"


def resnet_options(state: State) -> Dict[str, Any]:
    """Return the entries of a card's ``[model]`` that a ``resnet`` state dict shows; no depth if it is no known one.

    The stem's stride in time and its max pooling leave no trace in the weights.
    """
    counts = tuple(_blocks(state, layer) for layer in (1, 2, 3, 4))
    block = Bottleneck if "layer1.0.conv3.weight" in state else BasicBlock
    depth = next((depth for depth, known in DEPTHS.items() if known == (block, counts)), None)
    options: Dict[str, Any] = {} if depth is None else {"depth": depth}
    options["shortcut"] = "B" if "layer2.0.downsample.0.weight" in state else "A"
    options["widen_factor"] = len(state["layer4.0.conv2.weight"]) / WIDTHS[3]
    options["conv1_t_size"] = state["conv1.weight"].shape[2]
    options["classes"] = len(state["fc.weight"])
    return options


def _fits(state: State, card: Card) -> bool:
    try:
        with torch.device("meta"):
            network = build_network(card)
    except RequestError:
        return False
    return not differences(network.state_dict(), state)


def _blocks(state: State, layer: int) -> int:
    return len({name.split(".")[1] for name in state if name.startswith(f"layer{layer}.")})


def _first(word: str, names: List[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{word}: {', '.join(names[:_SHOWN])}{more}"


def _say(value: Tensor) -> str:
    kind = "" if value.dtype == torch.float32 else f"{str(value.dtype)[len('torch.') :]} "
    return kind + ("x".join(map(str, value.shape)) or "scalar")
