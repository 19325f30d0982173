"""How a state dict differs from a card's network, what it seems to be instead, and which card takes it."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Dict, Iterator, List, Optional, Tuple

import torch
from torch import Tensor

from clip2om.export.entries import has, read_options
from clip2om.export.pytorch.families import network_of, options_of
from clip2om.export.pytorch.family import State
from clip2om.export.pytorch.networks import FAMILIES, build_network, describe_model
from clip2om.export.weights.find import is_count, is_training
from clip2om.pipeline import cards
from clip2om.pipeline.card import Card, Model
from clip2om.pipeline.errors import RequestError

_SHOWN = 3
_PUBLISHED_ARCH = re.compile(r"(resnet|resnet2p1d|preresnet|wideresnet|resnext|densenet)-\d+")
_CHECK = "check --checkpoint and --model"


def contradicts(arch: Optional[str], card: Card) -> bool:
    """Return whether ``arch`` is one of the published names, and another one than the card's."""
    return arch is not None and _PUBLISHED_ARCH.fullmatch(arch) is not None and arch != describe_model(card.model)


def differences(expected: State, found: State) -> List[str]:
    """Return in words how a state dict differs from the expected one, first names only; empty where it fits.

    Counts of batches are not looked at: PyTorch before 0.4.1 did not write them, averaging makes floats of them, and
    inference does not read them. Nor is what training alone needs.
    """
    missing = [name for name in expected if name not in found and not is_count(name)]
    unexpected = [name for name in found if name not in expected and not is_training(name)]
    shapes = [
        f"{name} is {_say(found[name])}, expected {_say(value)}"
        for name, value in expected.items()
        if name in found and not is_count(name) and (found[name].shape, found[name].dtype) != (value.shape, value.dtype)
    ]
    named = (("missing", missing), ("unexpected", unexpected), ("different", shapes))
    return [_first(word, names) for word, names in named if names]


def asked(card: Card) -> str:
    """Return the network that a card asks for, with what most often differs."""
    family = FAMILIES.get(card.model.network)
    options = read_options(family.options, card.model, card.model.network) if family else None
    kind = getattr(options, "shortcut", "")
    shortcut = f"shortcut {kind}, " if kind else ""
    return f"card {card.name} ({describe_model(card.model)}, {shortcut}{card.model.classes} classes)"


def describe(state: State, card: Card, expected: State, implied: Optional[Dict[str, Any]] = None) -> Tuple[str, str]:
    """Return what a state dict that does not fit the card seems to be, and what to do about it.

    A card and entries are proposed only if the network they give has exactly these names and shapes; of several cards
    the one with the fewest entries to set.

    Args:
        state: The state dict.
        card: The card.
        expected: That of the card's network.
        implied: Entries that its names tell beside, as those of a library whose network has no others.
    """
    implied = implied or {}
    classes = _other_classes(state, card, expected)
    if classes:
        title = _title(card.model.network, options_of(state, card.model.network)) if network_of(state) else ""
        seems = title or f"the card's own network with {classes} classes"
        return seems, f"use --set model.classes={classes}"
    network = network_of(state)
    if network is None:
        return _describe_stranger(state)
    options = {**options_of(state, network), **implied}
    seems = _title(network, options)
    found = nearest_card(state, network, options, card)
    if found is not None:
        nearest, changes = found
        sets = [f"--set {key}={_toml(value)}" for key, value in changes.items()]
        words = " ".join([*([] if nearest is card else [f"--model {nearest.name}"]), *sets])
        untold = [key for key in FAMILIES[network].untold if key not in implied]
        if sets and untold:
            seems += f"; weights cannot tell {', '.join(untold)}: set them as it was trained"
        return seems, f"use {words}" if words else "the weights fit and arch does not: check which file it is"
    return seems, f"no card entry makes it fit{_channels(state, network, card)}; {_CHECK}"


def nearest_card(
    state: State, network: str, options: Dict[str, Any], asked_for: Optional[Card] = None
) -> Optional[Tuple[Card, Dict[str, Any]]]:
    """Return the card of a network that takes a state dict with the fewest entries changed, and those, ``model.…``.

    Args:
        state: The state dict.
        network: Its network.
        options: Its classes and the entries of ``[model.arguments]`` that it shows.
        asked_for: A card that is taken if it is one of that network, whatever the others are.
    """
    found = []
    for candidate in _candidates(asked_for, network):
        before = _of_family(candidate.model)
        shown = {key: value for key, value in options.items() if key != "classes"}
        model = dataclasses.replace(
            before,
            classes=options.get("classes", before.classes),
            framework="pytorch",
            arguments={**before.arguments, **shown},
        )
        if _fits(state, dataclasses.replace(candidate, model=model)):
            found.append((candidate, _changes(candidate.model, before, model)))
    return min(found, key=lambda pair: len(pair[1]), default=None)


def _of_family(model: Model) -> Model:
    """Return a card's section with the arguments that PyTorch's network of that name takes, as other frameworks may."""
    family = FAMILIES[model.network]
    known = {key: value for key, value in model.arguments.items() if has(family.options, key)}
    return dataclasses.replace(model, arguments=known)


def _changes(asked_for: Model, before: Model, after: Model) -> Dict[str, Any]:
    """Return the entries that make a network of the same name another, as ``--set`` takes them."""
    family = FAMILIES[after.network].options
    options = [dataclasses.asdict(read_options(family, model, after.network)) for model in (before, after)]
    changes = {
        f"model.{'' if key == 'classes' else 'arguments.'}{key}": value
        for key, value in options[1].items()
        if value != options[0][key]
    }
    if "model.classes" in changes:
        changes["model.classes"] = changes.pop("model.classes")
    return {**({} if asked_for.framework == after.framework else {"model.framework": after.framework}), **changes}


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _other_classes(state: State, card: Card, expected: State) -> int:
    """Return how many classes weights have that differ from the card's in nothing else; 0 where they do."""
    if any(name not in state and not is_count(name) for name in expected):
        return 0
    other = [name for name in expected if not is_count(name) and state[name].shape != expected[name].shape]
    counts = {len(state[name]) if state[name].dim() else 0 for name in other}
    same = all(
        expected[name].shape[:1] == (card.model.classes,) and state[name].shape[1:] == expected[name].shape[1:]
        for name in other
    )
    return counts.pop() if other and same and len(counts) == 1 else 0


def _channels(state: State, network: str, card: Card) -> str:
    """Return words about an input of another number of channels than the card's; empty where it is the same."""
    stem = next((value for value in state.values() if value.dim() == 5), None)
    found, asked_for = stem.shape[1] if stem is not None else 0, card.input.shape[-4]
    if not found or found == asked_for:
        return ""
    return (
        f": it takes {found} channels, input.shape has {asked_for} (set input.shape, and transform.mean and .std "
        f"of {found} numbers)"
    )


def _candidates(card: Optional[Card], network: str) -> Iterator[Card]:
    """Yield the cards of a network: the one asked for if it is one, else all others, PyTorch's first."""
    if card is not None and card.model.network == network:
        yield card
        return
    found = []
    for name in cards.available():
        try:
            found.append(cards.load(name))
        except RequestError:
            continue
    yield from sorted(
        (other for other in found if other.model.network == network),
        key=lambda other: other.model.framework != "pytorch",
    )


def _describe_stranger(state: State) -> Tuple[str, str]:
    names, ranks = list(state), {value.dim() for value in state.values()}
    if any(name.removeprefix("backbone.").startswith("conv1a.conv.") for name in names):
        return (
            "the backbone of a C3D alone, without its classifier (cls_head.fc_cls), as pre-trained on Sports-1M",
            "fine-tune it, and give the checkpoint of that training",
        )
    if any("._conv." in name for name in names):
        return "a C3D under the names of PaddleC3D", "use a card with model.framework paddle and its .pdparams"
    if any(".bn2d." in name for name in names):
        return "a network under the names of MindSpore", "use a card with model.framework mindspore and its .ckpt"
    if 4 in ranks and 5 not in ranks:
        return "a network of 2-D convolutions, which takes images and no clips", _CHECK
    return f"none of the networks {', '.join(FAMILIES)}", _CHECK


def _title(network: str, options: Dict[str, Any]) -> str:
    title = FAMILIES[network].title
    if has(FAMILIES[network].options, "depth"):
        family, _, rest = title.partition(" of ")
        title = f"{family}-{options.get('depth', '?')}{' of ' if rest else ''}{rest}"
    shortcut = f"shortcut {options['shortcut']}, " if "shortcut" in options else ""
    stem = f"stem of {options['stem_width']}, " if options.get("stem_width") else ""
    return f"{title}, {shortcut}{stem}{options['classes']} classes"


def _fits(state: State, card: Card) -> bool:
    try:
        with torch.device("meta"):
            network = build_network(card)
    except RequestError:
        return False
    return not differences(network.state_dict(), state)


def _first(word: str, names: List[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{word}: {', '.join(names[:_SHOWN])}{more}"


def _say(value: Tensor) -> str:
    kind = "" if value.dtype == torch.float32 else f"{str(value.dtype)[len('torch.') :]} "
    return kind + ("x".join(map(str, value.shape)) or "scalar")
