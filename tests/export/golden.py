"""Golden vectors of the 3D ResNets: formula weights, formula clips, expected logits.

Origin: the networks of 3D-ResNets-PyTorch (commit 540a0ea) run in float32 and float64 on a CPU; the files are in
tests/data/networks. Weights and clips are integer hashes, so that no random generator is needed.
"""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path
from typing import Any, Dict, Tuple

import numpy as np
import torch

NETWORKS = Path(__file__).parent.parent / "data" / "networks"
NAMES = (
    "resnet-10",
    "resnet-18",
    "resnet-50",
    "resnet-101",
    "resnet-18-w025",
    "resnet-18-A",
    "resnet-50-A",
    "resnet-10-flow",
)


def load(name: str) -> Tuple[Dict[str, Any], Dict[str, np.ndarray]]:
    """Return the description and the expected arrays of a golden network."""
    description = json.loads((NETWORKS / f"{name}.json").read_text())
    with np.load(NETWORKS / f"{name}.npz") as arrays:
        return description, dict(arrays)


def uniform(network: str, key: str, count: int) -> np.ndarray:
    """Return ``count`` float64 hash values in [-1, 1)."""
    mask = 0xFFFFFFFF
    x = (np.arange(count, dtype=np.uint64) * 0x9E3779B1 + zlib.crc32(f"golden-1|{network}|{key}".encode())) & mask
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = ((x ^ (x >> np.uint64(shift))) * factor) & mask
    return ((x ^ (x >> np.uint64(16))) >> np.uint64(8)).astype(np.float64) / 8388608.0 - 1.0


def weight(network: str, key: str, shape: Tuple[int, ...]) -> np.ndarray:
    """Return the formula weight of one entry of a PyTorch state dict."""
    last = key.rpartition(".")[2]
    if last == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    value = uniform(network, key, math.prod(shape))
    if last in ("bias", "running_mean"):
        value = 0.1 * value
    elif last == "running_var":
        value = 1.0 + 0.1 * np.abs(value)
    elif len(shape) == 1:
        value = 0.75 + 0.1 * value
    else:
        value = value * math.sqrt(6.0 / math.prod(shape[1:]))
    return value.astype(np.float32).reshape(shape)


def state_dict(network: torch.nn.Module, name: str) -> Dict[str, torch.Tensor]:
    """Return formula weights for all entries of a network's state dict."""
    return {key: torch.from_numpy(weight(name, key, tuple(value.shape))) for key, value in network.state_dict().items()}


def clips(network: str, shape: Tuple[int, ...]) -> np.ndarray:
    """Return the formula clips, float32 (N, C, T, H, W): a sawtooth, coarse blocks and fine noise."""
    count, channels, frames, height, width = shape
    blocks = (count, channels, -(-frames // 4), -(-height // 16), -(-width // 16))
    fine = uniform(network, "input.fine", math.prod(shape)).reshape(shape)
    coarse = uniform(network, "input.coarse", math.prod(blocks)).reshape(blocks)
    n, c, t, h, w = np.ogrid[:count, :channels, :frames, :height, :width]
    saw = ((1 + c + n) * w + (3 + c) * h + (5 + 2 * c) * t + 11 * c + 5 * n) % 32 / 16.0 - 1.0
    return (0.5 * saw + 0.25 * coarse[n, c, t // 4, h // 16, w // 16] + 0.25 * fine).astype(np.float32)


def close(found: np.ndarray, expected: np.ndarray) -> bool:
    """Return whether logits are within the tolerance that the golden vectors state."""
    return bool(np.all(np.abs(found - expected) <= 1e-5 * np.abs(expected).max() + 1e-5 * np.abs(expected)))
