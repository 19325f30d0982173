"""Which network a state dict belongs to and with which parameters, read from its names and shapes."""

from __future__ import annotations

from typing import Any, Dict, Optional

from clip2om.export.pytorch.family import State
from clip2om.export.pytorch.networks import FAMILIES


def network_of(state: State) -> Optional[str]:
    """Return ``model.network`` of a state dict, or None for any that is not among the networks here."""
    return next((name for name, family in FAMILIES.items() if family.claims(state)), None)


def options_of(state: State, network: str) -> Dict[str, Any]:
    """Return what a state dict of ``network`` shows of a card: ``classes`` and entries of ``[model.arguments]``.

    There is no depth if it is no known one. What :attr:`Family.untold` names leaves no trace in the weights.
    """
    return FAMILIES[network].read(state)
