"""MindSpore checkpoints as arrays under PyTorch's names, for the conversion to other frameworks."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Mapping, Tuple

import numpy as np

from clip2om.export.mindspore.checkpoint import read_checkpoint, write_checkpoint
from clip2om.export.mindspore.names import mindspore_from_pytorch, pytorch_from_mindspore


def read_arrays(path: Path) -> Tuple[Dict[str, np.ndarray], List[str]]:
    """Return the weights of a checkpoint under PyTorch's names, and the names that were left behind.

    PyTorch's counts of batches, which MindSpore does not keep, are 0.

    Raises:
        RequestError: not a MindSpore checkpoint, or a damaged one.
    """
    return pytorch_from_mindspore(read_checkpoint(path), np.zeros((), np.int64))


def write_arrays(state: Mapping[str, np.ndarray], path: Path) -> List[str]:
    """Write arrays as a MindSpore checkpoint under MindSpore's names and return the names that were left behind."""
    renamed, dropped = mindspore_from_pytorch(state)
    write_checkpoint(renamed, path)
    return dropped
