"""PyTorch checkpoints as arrays, for the conversion to other frameworks."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Dict, List, Mapping, Tuple

import numpy as np
import torch

from clip2om.export.pytorch.checkpoint import read_checkpoint
from clip2om.pipeline.artifact import replacing


def read_arrays(path: Path) -> Tuple[Dict[str, np.ndarray], List[str]]:
    """Return a state dict by name, floating-point values as float32; ``module.`` is taken off, nothing is left behind.

    Raises:
        RequestError: not a checkpoint, damaged, or holding objects other than weights.
    """
    return {name: value.numpy() for name, value in read_checkpoint(path).state.items()}, []


def write_arrays(state: Mapping[str, np.ndarray], path: Path) -> List[str]:
    """Write arrays as a state dict in a container as training code writes it; nothing is left behind."""
    # Written to memory first: PyTorch puts the name of the file that it writes into the file.
    stream = io.BytesIO()
    torch.save({"state_dict": {name: torch.from_numpy(value) for name, value in state.items()}}, stream)
    with replacing(path) as temporary:
        temporary.write_bytes(stream.getbuffer())
    return []
