"""Entries of a card that its network or its framework would ignore: they are refused instead."""

from __future__ import annotations

from dataclasses import fields
from typing import AbstractSet

from clip2om.pipeline.card import Card, Model
from clip2om.pipeline.errors import RequestError

_COMMON = frozenset({"framework", "network", "classes", "checkpoint", "origin"})


def check_entries(card: Card, takes: AbstractSet[str], name: str, pooled: bool = True) -> None:
    """Check the sections [model] and [export] of a card against what its network takes.

    Args:
        card: The card.
        takes: Entries of ``[model]`` that the network reads, beside those of every card.
        name: What the network is called.
        pooled: It has a pooling head, whose form ``export.pooling`` chooses.

    Raises:
        RequestError: an entry that would have no effect, and is not as it is by default.
    """
    where = card.path or card.name
    for entry in fields(Model):
        value = getattr(card.model, entry.name)
        default = {} if entry.name == "arguments" else entry.default
        if entry.name not in takes | _COMMON and value != default:
            raise RequestError(f"model.{entry.name} is {value!r}, which {name} does not take", where, "remove it")
    if not pooled and card.export.pooling != "global":
        raise RequestError(
            f"export.pooling is {card.export.pooling!r}, {card.model.network} has no pooling head", where, "remove it"
        )
    if card.export.average_clips and "K" not in card.input.layout:
        raise RequestError(
            f"export.average_clips is on, layout {card.input.layout} has no clips to average",
            where,
            "use input.layout NKCTHW where the network takes it, or let postprocess take the mean",
        )
    if card.export.batch_accuracy and card.model.framework != "tensorflow":
        raise RequestError("export.batch_accuracy is for TensorFlow cards", where, "set it to false")
