"""Weights as .npz: arrays under PyTorch's names, which need NumPy alone to be read."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Mapping, Tuple

import numpy as np

from clip2om.pipeline.arrays import NoArrayError, load_npz
from clip2om.pipeline.artifact import replacing
from clip2om.pipeline.errors import RequestError

State = Dict[str, np.ndarray]


def read_arrays(path: Path) -> Tuple[State, List[str]]:
    """Return the arrays of a .npz by name, in its order, and that nothing was left behind.

    Raises:
        RequestError: not a .npz, damaged, or holding Python objects instead of numbers.
    """
    try:
        return load_npz(path), []
    except NoArrayError as error:
        if "Python objects" in str(error):
            raise RequestError(
                "holds Python objects, which are not read", path, "make it again with python -m export.checkpoint"
            ) from None
        if "not a zip file" in str(error):
            raise RequestError("is not a .npz of weights, or cut short", path, "check the file") from None
        todo = "make it again with python -m export.checkpoint"
        raise RequestError(f"is a damaged .npz ({error})", path, todo) from None


def write_arrays(state: Mapping[str, np.ndarray], path: Path) -> List[str]:
    """Write arrays under their names, whole or not at all; nothing is left behind."""
    with replacing(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, **state)  # type: ignore[arg-type]
    return []
