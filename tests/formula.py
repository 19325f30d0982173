"""The synthetic frame of the golden vectors: integer arithmetic only, so every machine makes the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data"
_SIN64 = np.array(json.loads((DATA / "frames_check.json").read_text())["SIN64"])


def frame(seed: int, t: int, height: int, width: int) -> np.ndarray:
    """Return frame t of video ``seed`` as uint8 (height, width, 3): gradient, travelling wave and hash noise."""
    y, x, c = np.ogrid[:height, :width, :3]
    x_part, y_part = 255 * x // max(width - 1, 1), 255 * y // max(height - 1, 1)
    both = 255 * (x + y) // max(width + height - 2, 1)
    gradient = np.where(c == 0, x_part, np.where(c == 1, y_part, both))
    wave = _SIN64[(3 * x + 2 * y + 5 * t + 11 * c + 7 * seed) % 64] + 128
    return ((3 * gradient + 3 * wave + 2 * _noise(seed, t, y, x, c)) >> 3).astype(np.uint8)


def _noise(seed: int, t: int, y: np.ndarray, x: np.ndarray, c: np.ndarray) -> np.ndarray:
    start = seed * 0x9E3779B1 + t * 0x85EBCA77
    y, x, c = (axis.astype(np.uint32) for axis in (y, x, c))
    h = (
        np.uint32(start & 0xFFFFFFFF)
        + y * np.uint32(0xC2B2AE3D)
        + x * np.uint32(0x27D4EB2F)
        + c * np.uint32(0x165667B1)
    )
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
        h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
    return ((h ^ (h >> np.uint32(15))) & np.uint32(255)).astype(np.int64)
