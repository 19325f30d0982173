"""From a model card to its network: one module per family, chosen by ``model.network``."""

from __future__ import annotations

from typing import Tuple

import torch
from torch import nn

from export.pytorch.pooling import make_pool
from export.pytorch.resnet3d import ResNet3d
from pipeline.card import Card
from pipeline.errors import RequestError


def build_network(card: Card) -> nn.Module:
    """Return the card's network with fresh weights, in training mode.

    It maps normalised clips, float32 (N, C, T, H, W), to logits, float32 (N, classes). The pooling head is the one
    that ``export.pooling`` names; it has no weights, so that the state dict is the same with each.

    Raises:
        RequestError: no such network, a parameter it does not take, or an input layout other than NCTHW.
    """
    families = {"resnet3d": _resnet3d}
    if card.model.network not in families:
        raise RequestError(
            f"model.network is {card.model.network!r}, expected one of: {', '.join(families)}", card.path or card.name
        )
    if card.input.layout != "NCTHW":
        raise RequestError(f"input.layout is {card.input.layout!r}, PyTorch networks take NCTHW", card.path)
    try:
        return families[card.model.network](card)
    except RequestError as error:
        raise RequestError(error.what, card.path, error.todo) from None


def _resnet3d(card: Card) -> nn.Module:
    network = _plain_resnet3d(card)
    # On the meta device tensors have shapes and no data: the size of the features costs no arithmetic.
    with torch.device("meta"):
        features = _plain_resnet3d(card).eval().features(torch.empty(1, *card.input.shape))
    network.avgpool = make_pool(card.export.pooling, _size(features))
    return network


def _plain_resnet3d(card: Card) -> ResNet3d:
    model = card.model
    return ResNet3d(
        model.depth,
        model.classes,
        channels=len(card.transform.mean),
        shortcut=model.shortcut,
        widen_factor=model.widen_factor,
        conv1_t_size=model.conv1_t_size,
        conv1_t_stride=model.conv1_t_stride,
        no_max_pool=model.no_max_pool,
    )


def _size(features: torch.Tensor) -> Tuple[int, int, int]:
    _, _, frames, height, width = features.shape
    return frames, height, width
