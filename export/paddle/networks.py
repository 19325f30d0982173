"""From a model card to its Paddle network."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn

from clip2om.export.entries import check_entries
from clip2om.export.paddle.c3d import ByteInput, C3d, Head
from clip2om.export.parity import statistics
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.mean_volume import mean_volume_of

_NETWORKS = ("c3d",)
_LAYOUTS = ("NCTHW", "NKCTHW")


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
    check_entries(card, {"widen_factor"}, "Paddle's c3d", pooled=False)
    if int(64 * card.model.widen_factor) < 1:
        raise RequestError(f"model.widen_factor is {card.model.widen_factor}, which leaves no channels", where)
    clips = card.input.shape[0] if "K" in card.input.layout else None
    head = Head(clips, card.export.softmax, card.export.average_clips)
    try:
        return C3d(card.input.shape[-4:], card.model.classes, card.model.widen_factor, head)
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
