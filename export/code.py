"""Networks that a card names as code, ``package.module:function`` or ``file.py:function``, without running it."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.card import Card


def names_code(card: Card) -> bool:
    """Tell whether a card's network is code of the user's or of a library."""
    return ":" in card.model.network


def file_of(card: Card) -> Path:
    """Return the file of ``file.py:function``: beside the card, or else in the current folder."""
    name = Path(card.model.network.rpartition(":")[0])
    beside = Path(card.path).parent / name
    return beside if beside.is_file() else Path.cwd() / name


def is_file(card: Card) -> bool:
    """Tell whether the code is in a file and not in a package."""
    return card.model.network.rpartition(":")[0].endswith(".py")


def code_digest(card: Card) -> str:
    """Return what tells one state of the code from another: the file's SHA-256, or the package's version."""
    if not names_code(card):
        return ""
    if is_file(card):
        path = file_of(card)
        return sha256_file(path) if path.is_file() else ""
    top = card.model.network.partition(":")[0].partition(".")[0]
    try:
        return f"{top} {metadata.version(top)}"
    except metadata.PackageNotFoundError:
        return ""
