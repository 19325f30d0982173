"""From a model card to its network: one module per family, whose ``FAMILIES`` say all that is known of them.

A module here is a network: nothing else is to be entered anywhere.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any, Dict, Optional, Tuple

import torch
from torch import Tensor, nn

from clip2om.export.code import names_code
from clip2om.export.entries import check_entries, has, read_options
from clip2om.export.pytorch import code
from clip2om.export.pytorch.family import Clip, Family
from clip2om.export.pytorch.pooling import SameMaxPool, make_pool
from clip2om.export.pytorch.residual import ResidualNet
from clip2om.pipeline.card import Card, Model
from clip2om.pipeline.errors import RequestError

_LAYOUTS = ("NCTHW", "NKCTHW")
Size = Tuple[int, int, int]


def _families() -> Dict[str, Family]:
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    return {family.name: family for module in modules for family in module.FAMILIES}


FAMILIES: Dict[str, Family] = _families()


def build_network(card: Card, allow_code: bool = False) -> nn.Module:
    """Return the card's network with fresh weights, in training mode.

    It maps normalised clips, float32 (N, C, T, H, W), to logits, float32 (N, classes); what the graph has around it is
    :mod:`export.pytorch.deployed`. The pooling head is the one that ``export.pooling`` names; it has no weights, so
    that the state dict is the same with each.

    Raises:
        RequestError: no such network, a parameter it does not take, a clip too small for it, or a layout in which
            the clips are not (C, T, H, W).
    """
    where = card.path or card.name
    network, layout = card.model.network, card.input.layout
    if names_code(card):
        check_entries(card, pooled=False)
        return code.build(card, allow_code)
    if network not in FAMILIES:
        raise RequestError(f"model.network is {network!r}, expected one of: {', '.join(FAMILIES)}", where)
    if layout not in _LAYOUTS:
        raise RequestError(f"input.layout is {layout!r}, PyTorch networks take {' or '.join(_LAYOUTS)}", where)
    try:
        family = FAMILIES[network]
        check_entries(card, family.pooled)
        return make_network(card.model, clip_of(card), card.export.pooling)
    except RequestError as error:
        raise RequestError(error.what, where, error.todo) from None


def make_network(model: Model, clip: Clip, pooling: str = "global") -> nn.Module:
    """Return a network for clips of the extents ``clip`` (C, T, H, W), with the pooling head ``pooling``.

    Raises:
        RequestError: an argument that the network does not take, or that gives none, or a clip too small for it.
    """
    family = FAMILIES[model.network]
    options = read_options(family.options, model, model.network)
    try:
        # On the meta device tensors have shapes and no data: the size of the features costs no arithmetic.
        with torch.device("meta"):
            stem, features = _sizes(family, options, clip)
    except RuntimeError as error:  # PyTorch's word for a tensor that a pooling or a convolution cannot take
        raise RequestError(
            f"a clip of {'x'.join(map(str, clip))} is too small for {describe_model(model)} ({error})",
            todo="use a larger transform.size or more clips.frames, and input.shape to match",
        ) from None
    network = family.make(options, clip)
    if stem:
        network.maxpool = SameMaxPool(stem)
    if features:
        network.avgpool = make_pool(pooling, features)
    return network


def clip_of(card: Card) -> Clip:
    """Return channels, frames, height and width of one clip of the card's input."""
    channels, frames, height, width = card.input.shape[-4:]
    return channels, frames, height, width


def describe_model(model: Model) -> str:
    """Return a network's name, with its depth where the family has several."""
    family = FAMILIES.get(model.network)
    if family is None or not has(family.options, "depth"):
        return model.network
    return f"{family.arch or model.network}-{read_options(family.options, model, model.network).depth}"


def _sizes(family: Family, options: Any, clip: Clip) -> Tuple[Optional[Size], Optional[Size]]:
    """Return what the stem gives to a max pooling that pads as MindSpore, and the features to average; None without."""
    network, example = family.make(options, clip).eval(), torch.empty(1, *clip)
    if not family.pooled:
        return None, None
    stem = None
    if isinstance(network, ResidualNet) and getattr(options, "same_padding", False) and not options.no_max_pool:
        stem = _size(network.stem(example))
        network.maxpool = SameMaxPool(stem)
    return stem, _size(network.features(example))


def _size(features: Tensor) -> Size:
    _, _, frames, height, width = features.shape
    return frames, height, width
