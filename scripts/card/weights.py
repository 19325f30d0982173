"""What a file of weights tells: the network, its parameters and classes; the rest is that of the nearest card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Tuple

from clip2om.export.entries import has, read_options
from clip2om.export.pytorch.checkpoint import find_network
from clip2om.export.pytorch.networks import FAMILIES
from clip2om.export.pytorch.recognition import nearest_card
from clip2om.pipeline.card import Card
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.typed import to_dict
from clip2om.scripts.card.draft import Draft

_SECTIONS = ("model", "input", "clips", "transform", "dataset", "export", "atc", "scores")


def describe(path: Path, console: Console) -> Draft:
    """Return the draft of a card for a PyTorch checkpoint.

    Raises:
        RequestError: no checkpoint, or of none of the networks here.
    """
    network, state, options, lines = find_network(path)
    found = nearest_card(state, network, options)
    if found is None:
        raise RequestError(
            f"seems to be {FAMILIES[network].title}, but no card entry makes it fit", path, "write the card by hand"
        )
    card, entries = found
    for line in lines:
        console.say(line)
    console.say(
        f"{path}: {FAMILIES[network].title}, {options['classes']} classes; the rest is that of card {card.name}"
    )
    draft = Draft(f"{card.title.split(',')[0]}, {options['classes']} classes", _sections(card))
    draft.doubt("clips", *draft.sections["clips"])
    draft.doubt("transform", *draft.sections["transform"])
    draft.doubt("input", "shape", "layout")
    family = FAMILIES[network]
    made = {key.rpartition(".")[2]: value for key, value in entries.items()}
    plain = {key: made.pop(key) for key in ("framework", "classes") if key in made}
    draft.set("model", checkpoint=str(path.absolute()), origin=f"from {path.name}", **plain)
    told = {key: value for key, value in {**card.model.arguments, **made}.items() if has(family.options, key)}
    untold = [key for key in family.untold if key not in options]
    known = read_options(family.options, replace(card.model, arguments=told), network)
    draft.set("model.arguments", **told)
    for key in untold:
        draft.sections["model.arguments"].setdefault(key, getattr(known, key))
    draft.doubt("model.arguments", *untold)
    return draft


def _sections(card: Card) -> Dict[str, Dict[str, Any]]:
    """Return a card's sections less what is as it is by default."""
    whole = to_dict(card)
    made: Dict[str, Dict[str, Any]] = {}
    for name in _SECTIONS:
        section = getattr(card, name)
        if section is None:
            continue
        kinds: Tuple[Any, ...] = tuple(vars(type(section)).get("__dataclass_fields__", {}).values())
        made[name] = {
            kind.name: whole[name][kind.name]
            for kind in kinds
            # A key that came later is left out of the section where it is as it is by default.
            if kind.name in whole[name]
            and whole[name][kind.name] not in (to_dict(kind.default), {})
            and kind.name != "arguments"
        }
        if name == "model":
            made["model.arguments"] = {}
    return made
