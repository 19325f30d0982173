"""Golden vectors of the networks: formula weights, formula clips, expected logits; needs NumPy alone.

Origin: each network run in its own framework in float32, and in float64, on a CPU; the files lie in
tests/data/networks. Weights and clips are integer hashes, so that no random generator is needed and the tests of
every framework share them.
"""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path
from typing import Any, Dict, Tuple

import numpy as np

NETWORKS = Path(__file__).parent / "data" / "networks"


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


def weight(network: str, key: str, shape: Tuple[int, ...], rule: str = "out_first") -> np.ndarray:
    """Return the formula weight of one entry of a checkpoint, float32 (num_batches_tracked: int64).

    ``rule`` is the description's ``fan_in_rule``: ``out_first`` (PyTorch, MindSpore), ``paddle`` or ``tensorflow``.
    """
    last = key.replace("/", ".").rpartition(".")[2]
    if last == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    value = uniform(network, key, math.prod(shape))
    if last in ("bias", "beta", "biases", "running_mean", "moving_mean"):
        value = 0.1 * value
    elif last in ("running_var", "moving_variance"):
        value = 1.0 + 0.1 * np.abs(value)
    elif len(shape) == 1:
        value = 0.75 + 0.1 * value
    else:
        value = value * math.sqrt(6.0 / _fan_in(shape, rule))
    return value.astype(np.float32).reshape(shape)


def _fan_in(shape: Tuple[int, ...], rule: str) -> int:
    if rule == "tensorflow":
        return math.prod(shape[:-1])
    return shape[0] if rule == "paddle" and len(shape) == 2 else math.prod(shape[1:])


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
