"""From a model card to its network: one function per family, chosen by ``model.network``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, FrozenSet, Optional, Tuple

import torch
from torch import Tensor, nn

from clip2om.export.code import names_code
from clip2om.export.entries import check_entries
from clip2om.export.pytorch import code
from clip2om.export.pytorch.c3d import C3d
from clip2om.export.pytorch.densenet3d import DenseNet3d
from clip2om.export.pytorch.mc3 import mc3
from clip2om.export.pytorch.pooling import SameMaxPool, make_pool
from clip2om.export.pytorch.preresnet import preresnet
from clip2om.export.pytorch.r2plus1d import R2Plus1d
from clip2om.export.pytorch.residual import Clip, ResidualNet
from clip2om.export.pytorch.resnet2p1d import resnet2p1d
from clip2om.export.pytorch.resnet3d import resnet3d, resnext, wideresnet
from clip2om.pipeline.card import Card, Model
from clip2om.pipeline.errors import RequestError

_STEM = frozenset({"depth", "widen_factor", "stem_width", "conv1_t_size", "conv1_t_stride", "no_max_pool"})
_RESIDUAL = _STEM | {"shortcut"}
_LAYOUTS = ("NCTHW", "NKCTHW")
Size = Tuple[int, int, int]


@dataclass(frozen=True)
class Family:
    """One kind of network: all that the exporter knows about it.

    Attributes:
        make: Makes it from the card's ``[model]`` and the extents of a clip.
        title: What a person calls it, with its article.
        takes: Entries of ``[model]`` that it reads, beside those of every card.
        operators: What its graph consists of, apart from its pooling.
        arch: What published checkpoints call it in their entry ``arch``, before the depth; empty where they have none.
        pooled: It averages its features over time and space: ``export.pooling`` says how.
        untold: Entries that leave no trace in names and shapes of weights.
    """

    make: Callable[[Model, Clip], nn.Module]
    title: str
    takes: FrozenSet[str]
    operators: FrozenSet[str]
    arch: str = ""
    pooled: bool = True
    untold: Tuple[str, ...] = ()


_PLAIN = frozenset({"Conv", "Relu", "Add", "Gemm"})
_POOLED_STEM = _PLAIN | {"MaxPool"}
_UNTOLD = ("no_max_pool", "conv1_t_stride", "same_padding")


def _hara(make: Callable[[Model, Clip], nn.Module], title: str, arch: str, *more: str) -> Family:
    """Return a family of the 3D-ResNets that shares their skeleton."""
    return Family(make, title, _RESIDUAL | set(more), _POOLED_STEM, arch, untold=_UNTOLD)


FAMILIES: Dict[str, Family] = {
    "resnet3d": _hara(resnet3d, "a 3D ResNet", "resnet", "same_padding"),
    "resnet2p1d": _hara(resnet2p1d, "a (2+1)D ResNet of the 3D-ResNets", "resnet2p1d"),
    "preresnet": Family(
        preresnet,
        "a pre-activation 3D ResNet",
        _RESIDUAL,
        # Normalisations that follow no convolution stay.
        _POOLED_STEM | {"BatchNormalization"},
        "preresnet",
        untold=_UNTOLD,
    ),
    "wideresnet": _hara(wideresnet, "a wide 3D ResNet", "wideresnet", "wide_resnet_k"),
    "resnext": _hara(resnext, "a 3D ResNeXt", "resnext", "cardinality"),
    "densenet": Family(
        DenseNet3d,
        "a 3D DenseNet",
        _STEM,
        frozenset({"Conv", "BatchNormalization", "Relu", "Concat", "MaxPool", "AveragePool", "Gemm"}),
        "densenet",
        untold=_UNTOLD,
    ),
    "c3d": Family(
        C3d,
        "a C3D",
        frozenset({"widen_factor", "same_padding"}),
        frozenset({"Conv", "Relu", "MaxPool", "Flatten", "Gemm"}),
        pooled=False,
        untold=("same_padding",),
    ),
    "r2plus1d": Family(R2Plus1d, "an R(2+1)D of GluonCV", frozenset({"depth", "widen_factor"}), _PLAIN),
    "mc3": Family(mc3, "an MC3 of torchvision", frozenset({"depth", "widen_factor"}), _PLAIN),
}


_ANY = frozenset({""})


def family_of(model: Model) -> Family:
    """Return what is known of a card's network; of code that is its name."""
    if ":" in model.network:
        return Family(_no_family, model.network, frozenset(), _ANY, pooled=False)
    return FAMILIES[model.network]


def _no_family(model: Model, clip: Clip) -> nn.Module:
    raise RequestError(f"{model.network} is code")


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
        check_entries(card, frozenset({"arguments", "output"}), network, False)
        return code.build(card, allow_code)
    if network not in FAMILIES:
        raise RequestError(f"model.network is {network!r}, expected one of: {', '.join(FAMILIES)}", where)
    if layout not in _LAYOUTS:
        raise RequestError(f"input.layout is {layout!r}, PyTorch networks take {' or '.join(_LAYOUTS)}", where)
    try:
        family = FAMILIES[network]
        check_entries(card, family.takes, network, family.pooled)
        return make_network(card.model, clip_of(card), card.export.pooling)
    except RequestError as error:
        raise RequestError(error.what, where, error.todo) from None


def make_network(model: Model, clip: Clip, pooling: str = "global") -> nn.Module:
    """Return a network for clips of the extents ``clip`` (C, T, H, W), with the pooling head ``pooling``.

    Raises:
        RequestError: a parameter that gives no network, or a clip too small for it.
    """
    family = FAMILIES[model.network]
    try:
        # On the meta device tensors have shapes and no data: the size of the features costs no arithmetic.
        with torch.device("meta"):
            stem, features = _sizes(family, model, clip)
    except RuntimeError as error:  # PyTorch's word for a tensor that a pooling or a convolution cannot take
        raise RequestError(
            f"a clip of {'x'.join(map(str, clip))} is too small for {describe_model(model)} ({error})",
            todo="use a larger transform.size or more clips.frames, and input.shape to match",
        ) from None
    network = family.make(model, clip)
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
    family = family_of(model)
    return f"{family.arch or model.network}-{model.depth}" if "depth" in family.takes else model.network


def _sizes(family: Family, model: Model, clip: Clip) -> Tuple[Optional[Size], Optional[Size]]:
    """Return what the stem gives to a max pooling that pads as MindSpore, and the features to average; None without."""
    network, example = family.make(model, clip).eval(), torch.empty(1, *clip)
    if not family.pooled:
        return None, None
    stem = None
    if model.same_padding and isinstance(network, ResidualNet) and not model.no_max_pool:
        stem = _size(network.stem(example))
        network.maxpool = SameMaxPool(stem)
    return stem, _size(network.features(example))


def _size(features: Tensor) -> Size:
    _, _, frames, height, width = features.shape
    return frames, height, width
