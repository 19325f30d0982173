"""Model cards: one TOML file per deployable model, validated when loaded.

An unknown key or a wrong type is an error that names the file, the key and what was expected.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

from clip2om.pipeline.card import Card
from clip2om.pipeline.card_check import check
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.places import CARDS
from clip2om.pipeline.texts import read_text
from clip2om.pipeline.typed import from_dict

# A hundred times the longest card.
_MOST_BYTES = 1 << 20
# Arguments of networks that cards wrote into [model] before [model.arguments] was there.
_OLD_ARGUMENTS = (
    "depth",
    "shortcut",
    "widen_factor",
    "conv1_t_size",
    "conv1_t_stride",
    "no_max_pool",
    "wide_resnet_k",
    "cardinality",
    "stem_width",
    "same_padding",
    "dropout",
)


def available() -> List[str]:
    """Return the names of the cards in models/, sorted."""
    return sorted(path.stem for path in CARDS.glob("*.toml"))


def load(model: str, overrides: Sequence[str] = ()) -> Card:
    """Load a card by name (a file of models/) or by path, apply overrides and validate it.

    Args:
        model: ``3d_resnet`` or ``path/to/card.toml``.
        overrides: ``section.key=value`` strings, the value in TOML notation or a bare string.

    Raises:
        RequestError: no such card, malformed TOML, an unknown key, a wrong type or an impossible value.
    """
    path = Path(model) if model.endswith(".toml") else CARDS / f"{model}.toml"
    if not path.is_file():
        raise RequestError(f"no model card called {model!r}", path.parent, f"choose one of: {', '.join(available())}")
    data = _parse(read_text(path, "save it as UTF-8", _MOST_BYTES), path)
    for key in ("name", "path", "old_entries"):
        if key in data:
            raise RequestError(f"key {key!r} is derived from the file and may not be written", path)
    old = _move_old_arguments(data, path)
    for override in overrides:
        _override(data, override)
    model_table = data.get("model")
    if isinstance(model_table, dict) and model_table.get("framework") == "onnx":
        # A graph is whatever network it is.
        model_table.setdefault("network", "graph")
    card = from_dict(Card, {**data, "name": path.stem, "path": str(path), "old_entries": list(old)}, path)
    check(card)
    return card


def _move_old_arguments(data: Dict[str, Any], path: Path) -> Tuple[str, ...]:
    """Move what an old card has in ``[model]`` to ``[model.arguments]`` and return its names.

    Raises:
        RequestError: one that is given in both places, or arguments that are no table.
    """
    model = data.get("model")
    old = tuple(key for key in _OLD_ARGUMENTS if isinstance(model, dict) and key in model)
    if not isinstance(model, dict) or not old:
        return ()
    arguments = model.setdefault("arguments", {})
    if not isinstance(arguments, dict):
        raise RequestError("model.arguments is no table", path)
    for key in old:
        if key in arguments and arguments[key] != model[key]:
            raise RequestError(f"model.{key} and model.arguments.{key} differ", path, "keep model.arguments")
        arguments[key] = model.pop(key)
    return old


def _parse(text: str, where: object) -> Dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError:
            raise RequestError("Python before 3.11 reads cards with tomli", where, "pip install tomli") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RequestError(f"is not TOML ({error})", where) from None
    except (RecursionError, ValueError):
        raise RequestError("is not TOML of a sane size (nested too deep, or thousands of digits)", where) from None


def _override(data: Dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (equals and dot and section and name):
        raise RequestError(f"{override!r} is not section.key=value", "--set", "for example --set clips.count=5")
    try:
        value = _parse(f"value = {text.strip()}", "--set")["value"]
    except RequestError:
        value = text.strip()
    table = data
    *inner, last = name.split(".") if section == "model" else [name]
    if section == "model" and name in _OLD_ARGUMENTS:
        # The short form of an argument.
        inner = ["arguments"]
    for part in (section, *inner):
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise RequestError(f"{section!r} is not a section of the card", "--set")
    table[last] = value
