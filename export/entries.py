"""What a card says of its network: read as the network declares it, refused where it would have no effect."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Tuple, Type, TypeVar

from clip2om.pipeline.card import Card, Model
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.typed import from_dict

T = TypeVar("T")
# What cards carried for every network before each declared its own, at the default: of a network that does not take it,
# it says nothing.
_FORMER_DEFAULTS = {
    "depth": 50,
    "shortcut": "B",
    "widen_factor": 1.0,
    "conv1_t_size": 7,
    "conv1_t_stride": 1,
    "no_max_pool": False,
    "wide_resnet_k": 2,
    "cardinality": 32,
    "stem_width": 0,
    "same_padding": False,
    "dropout": False,
}


def read_options(cls: Type[T], model: Model, name: str, where: object = "the card") -> T:
    """Return the options of a network: ``[model.arguments]``, typed and with defaults as ``cls`` declares them.

    Args:
        cls: A dataclass whose first field is ``classes``, which a card has in ``[model]``.
        model: The card's section.
        name: What the network is called.
        where: The card's file, for the message.

    Raises:
        RequestError: naming an argument that the network does not take, or that is of another type.
    """
    known = argument_names(cls)
    silent = [key for key, value in model.arguments.items() if key not in known and _FORMER_DEFAULTS.get(key) == value]
    given = {key: value for key, value in model.arguments.items() if key not in silent}
    unknown = [key for key in given if key not in known]
    if unknown:
        takes = f"it takes: {', '.join(known)}" if known else "it takes none"
        raise RequestError(
            f"model.arguments.{unknown[0]} is {model.arguments[unknown[0]]!r}, which {name} does not take",
            where,
            f"remove it; {takes}",
        )
    return from_dict(cls, {"classes": model.classes, **given}, where, "model.arguments")


def argument_names(cls: Any) -> Tuple[str, ...]:
    """Return what ``[model.arguments]`` may hold for a network whose options ``cls`` declares."""
    return tuple(sorted(field.name for field in fields(cls) if field.name != "classes"))


def has(cls: Any, name: str) -> bool:
    """Tell whether a network takes an argument."""
    return name in argument_names(cls)


def check_entries(card: Card, pooled: bool = True) -> None:
    """Check ``output`` and the section [export] of a card against what its network has.

    Args:
        card: The card.
        pooled: It has a pooling head, whose form ``export.pooling`` chooses.

    Raises:
        RequestError: an entry that would have no effect, and is not as it is by default.
    """
    where = card.path or card.name
    if card.model.output and ":" not in card.model.network:
        raise RequestError(
            f"model.output is {card.model.output!r}, {card.model.network} gives its scores alone", where, "remove it"
        )
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
