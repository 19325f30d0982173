"""Where things lie: what comes with the project, and what a user's commands make."""

from __future__ import annotations

import os
from pathlib import Path

# In a checkout its folder, in an installation that of the package: cards, labels and requirements are in it.
ROOT = Path(__file__).resolve().parent.parent
CARDS = ROOT / "models"
CHECKOUT = (ROOT / "clip2om").is_dir()


def build_folder(card: str) -> Path:
    """Return the folder of what is made of a card by default: build/CARD in the current folder."""
    return Path("build", card)


def native_folder() -> Path:
    """Return where code that was compiled on this host is kept, and loaded from.

    Never in the current folder, which may be another person's: the checkout's build/, else the user's cache.
    """
    if CHECKOUT:
        return ROOT / "build" / "native"
    return user_cache()


def user_cache() -> Path:
    """Return the folder for what this user alone writes, and loads again.

    Raises:
        RuntimeError: the user has no home.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(cache) if os.path.isabs(cache) else Path.home() / ".cache") / "clip2om"
