"""Where things lie: what comes with the project, and what a user's commands make."""

from __future__ import annotations

from pathlib import Path

# In a checkout its folder, in an installation that of the package: cards, labels and requirements are in it.
ROOT = Path(__file__).resolve().parent.parent
CARDS = ROOT / "models"


def build_folder(card: str) -> Path:
    """Return the folder of what is made of a card by default: build/CARD in the current folder."""
    return Path("build", card)
