"""Weights as .npz: arrays under PyTorch's names, which need NumPy alone to be read."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Dict, List, Mapping, Tuple

import numpy as np

from clip2om.pipeline.artifact import replacing
from clip2om.pipeline.errors import RequestError

State = Dict[str, np.ndarray]


def read_arrays(path: Path) -> Tuple[State, List[str]]:
    """Return the arrays of a .npz by name, in its order, and that nothing was left behind.

    Raises:
        RequestError: not a .npz, damaged, or holding Python objects instead of numbers.
    """
    if not zipfile.is_zipfile(path):
        raise RequestError("is not a .npz of weights, or cut short", path, "check the file")
    try:
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}, []
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        reason = "holds Python objects, which are not read" if "Object arrays" in str(error) else "is a damaged .npz"
        raise RequestError(reason, path, "make it again with python -m export.checkpoint") from None


def write_arrays(state: Mapping[str, np.ndarray], path: Path) -> List[str]:
    """Write arrays under their names, whole or not at all; nothing is left behind."""
    with replacing(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, **state)  # type: ignore[arg-type]
    return []
