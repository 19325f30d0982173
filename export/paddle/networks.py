"""From a model card to its Paddle network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import paddle
from paddle import nn

from clip2om.export.entries import check_entries, read_options
from clip2om.export.paddle.c3d import ByteInput, C3d, Head
from clip2om.export.parity import statistics
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.mean_volume import mean_volume_of

_NETWORKS = ("c3d",)
_LAYOUTS = ("NCTHW", "NKCTHW")


@dataclass(frozen=True)
class C3dOptions:
    """The factor of all widths."""

    classes: int
    widen_factor: float = 1.0


def build_network(card: Card) -> C3d:
    """Return the card's network with fresh weights.

    It maps normalised clips, float32 in the card's layout, to logits (or, with ``export.softmax``, probabilities):
    float32 (N, classes), or (N, K, classes) for several clips per video that are not averaged.

    Raises:
        RequestError: no such network, an entry it does not take, another layout, or clips that are too small.
    """
    where = card.path or card.name
    if card.model.network not in _NETWORKS:
        raise RequestError(
            f"model.network is {card.model.network!r}, for Paddle expected one of: {', '.join(_NETWORKS)}", where
        )
    if card.input.layout not in _LAYOUTS:
        raise RequestError(
            f"input.layout is {card.input.layout!r}, Paddle networks take {' or '.join(_LAYOUTS)}", where
        )
    check_entries(card, pooled=False)
    options = read_options(C3dOptions, card.model, "Paddle's c3d", where)
    if int(64 * options.widen_factor) < 1:
        raise RequestError(f"model.arguments.widen_factor is {options.widen_factor}, which leaves no channels", where)
    clips = card.input.shape[0] if "K" in card.input.layout else None
    head = Head(clips, card.export.softmax, card.export.average_clips)
    try:
        return C3d(card.input.shape[-4:], options.classes, options.widen_factor, head)
    except ValueError as error:
        raise RequestError(str(error), where, "set input.shape, clips.frames and transform.size") from None


def take_bytes(network: nn.Layer, card: Card) -> ByteInput:
    """Return ``network`` with the card's normalisation before it, for pixels in the card's layout.

    Raises:
        RequestError: the card's mean volume cannot be read.
    """
    mean, std = statistics(card.input.layout, card.transform, mean_volume_of(card))
    scale = np.float32(card.transform.scale)
    return ByteInput(network, paddle.to_tensor(scale * mean), paddle.to_tensor(1 / (scale * std)))
