"""Checkpoint names of one network in PyTorch and in MindSpore, and nothing else: no framework, no data.

The networks of MindSpore's model zoo came from PyTorch with their weights (3D-ResNets, GluonCV's r2plus1d_v1).
MindSpore does 3-D batch norm by a 2-D one inside (``.bn2d``), calls its values otherwise, and counts no batches.
"""

from __future__ import annotations

import re
from typing import Dict, List, Mapping, Tuple, TypeVar

T = TypeVar("T")
# In the order of a MindSpore checkpoint, and of a PyTorch one.
_MINDSPORE = {"moving_mean": "running_mean", "moving_variance": "running_var", "gamma": "weight", "beta": "bias"}
_PYTORCH = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_COUNT = "num_batches_tracked"
_NORM = re.compile(rf"((?:.+\.)?(?:bn\d+|downsample\.1))\.({'|'.join((*_PYTORCH, _COUNT))})")
_NORM_2D = re.compile(rf"((?:.+\.)?(?:bn\d+|downsample\.1))\.bn2d\.({'|'.join(_MINDSPORE)})")
# What training leaves in a MindSpore checkpoint besides weights: progress, optimizer, loss scale.
_TRAINING = re.compile(
    r"epoch_num|step_num|global_step|current_(iterator_)?step|last_overflow_iterator_step|learning_rate|momentum"
    r"|weight_decay|(loss_)?scale(_sense)?|beta[12]_power|((moments?|accum|accu_grads|stat|moment[12]|adam_[mv])\..+)"
)


def mindspore_from_pytorch(state: Mapping[str, T]) -> Tuple[Dict[str, T], List[str]]:
    """Return a PyTorch state dict under MindSpore's names and in MindSpore's order, and the names that were dropped.

    Values are passed on as they are. Dropped are the counts of batches, which MindSpore does not keep.
    """
    renamed: Dict[str, T] = {}
    dropped = []
    for name, value in state.items():
        match = _NORM.fullmatch(name)
        if match is None:
            renamed[name] = value
        elif match[2] == _COUNT:
            dropped.append(name)
        elif f"{match[1]}.bn2d.gamma" not in renamed:
            for mine, theirs in _MINDSPORE.items():
                if f"{match[1]}.{theirs}" in state:
                    renamed[f"{match[1]}.bn2d.{mine}"] = state[f"{match[1]}.{theirs}"]
    return renamed, dropped


def pytorch_from_mindspore(state: Mapping[str, T], count: T) -> Tuple[Dict[str, T], List[str]]:
    """Return a MindSpore checkpoint under PyTorch's names and in PyTorch's order, and the names that were dropped.

    Values are passed on as they are. Dropped is what training leaves besides weights; every batch norm gets the
    ``count`` of batches that PyTorch expects.
    """
    renamed: Dict[str, T] = {}
    dropped = []
    for name, value in state.items():
        match = _NORM_2D.fullmatch(name)
        if is_training_state(name):
            dropped.append(name)
        elif match is None:
            renamed[name] = value
        elif f"{match[1]}.{_COUNT}" not in renamed:
            for mine, theirs in _PYTORCH.items():
                if f"{match[1]}.bn2d.{theirs}" in state:
                    renamed[f"{match[1]}.{mine}"] = state[f"{match[1]}.bn2d.{theirs}"]
            renamed[f"{match[1]}.{_COUNT}"] = count
    return renamed, dropped


def is_training_state(name: str) -> bool:
    """Return whether an entry of a MindSpore checkpoint is no weight but progress, optimizer state or loss scale."""
    return _TRAINING.fullmatch(name) is not None
