"""Bilinear resize without antialiasing, exact to the byte to OpenCV's INTER_LINEAR on uint8 (4.6 to 5.0).

Weights have 11 bits. The horizontal sums keep all of theirs; what is rounded is their weighted vertical sum, once.
"""

from __future__ import annotations

import functools
from typing import Optional, Tuple

import numpy as np

from clip2om.preprocess import native
from clip2om.preprocess.frames import Frame, as_array
from clip2om.preprocess.geometry import Crop
from clip2om.preprocess.native import Form, is_exact

_ONE = 2048


@functools.lru_cache(maxsize=1)
def fastest() -> Form:
    """Return the compiled form where this host has it and it equals the definition on probes."""
    return compiled if is_exact(compiled, with_numpy) else with_numpy


def compiled(frame: Frame, crop: Crop) -> np.ndarray:
    """Resize and crop by the compiled kernel.

    Returns:
        uint8 (3, rows, size).

    Raises:
        NotImplementedError: this host has no compiled kernels.
    """
    library = native.library()
    if library is None:
        raise NotImplementedError
    pixels = as_array(frame)
    simple = _without_weights(pixels, crop)
    if simple is not None:
        return simple
    x = _table(pixels.shape[1], crop.width, crop.left, crop.size, True)
    y = _table(pixels.shape[0], crop.height, crop.top, crop.rows, False)
    scratch = np.empty(6 * crop.size, np.int16)
    result = np.empty((3, crop.rows, crop.size), np.uint8)
    tables = (array.ctypes.data for array in (*x, *y, scratch, result))
    library.cv2_linear(pixels.ctypes.data, pixels.strides[0], crop.size, crop.rows, *tables)
    return result


def with_numpy(frame: Frame, crop: Crop) -> np.ndarray:
    """Resize by the definition, computing only what the crop keeps; see :func:`compiled`."""
    pixels = as_array(frame)
    simple = _without_weights(pixels, crop)
    if simple is not None:
        return simple
    across, weights = _table(pixels.shape[1], crop.width, crop.left, crop.size, True)
    down, factors = _table(pixels.shape[0], crop.height, crop.top, crop.rows, False)
    used, places = np.unique(down, return_inverse=True)
    band = pixels[used]
    sums = band[:, across[0]] * weights[0, :, None] + band[:, across[1]] * weights[1, :, None]
    sums >>= 4
    upper, lower = sums[places.reshape(2, -1)]
    upper *= factors[0, :, None, None]
    lower *= factors[1, :, None, None]
    total = (upper >> 16) + (lower >> 16) + 2
    return (total >> 2).clip(0, 255).astype(np.uint8).transpose(2, 0, 1)


def _without_weights(pixels: np.ndarray, crop: Crop) -> Optional[np.ndarray]:
    """Return the crop of a frame of the right size, or of exactly twice that; None for others."""
    height, width = pixels.shape[:2]
    rows, columns = slice(crop.top, crop.top + crop.rows), slice(crop.left, crop.left + crop.size)
    if (width, height) == (crop.width, crop.height):
        return pixels[rows, columns].transpose(2, 0, 1).copy()
    if (width, height) == (2 * crop.width, 2 * crop.height):
        return _halved(pixels, rows, columns).transpose(2, 0, 1)
    return None


def _halved(pixels: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    """Return the crop of a frame of exactly half the size: OpenCV takes the mean of four pixels, halves up."""
    part = pixels[2 * rows.start : 2 * rows.stop, 2 * columns.start : 2 * columns.stop].astype(np.uint16)
    across = part[:, 0::2] + part[:, 1::2]
    return ((across[0::2] + across[1::2] + 2) >> 2).astype(np.uint8)


@functools.lru_cache(maxsize=256)
def _table(source: int, target: int, offset: int, size: int, hold: bool) -> Tuple[np.ndarray, np.ndarray]:
    """Return the two source positions of ``size`` target positions from ``offset``, and their weights.

    With ``hold`` (horizontally) positions beyond the edge take the edge pixel alone; without (vertically) only the
    numbers are clamped, and the weights stay.

    Returns:
        int32 (2, size), and int32 (2, size) in 1/2048.
    """
    scale = 1.0 / (target / source)
    exact = ((np.arange(offset, offset + size) + 0.5) * scale - 0.5).astype(np.float32)
    first = np.floor(exact).astype(np.int32)
    part = exact - first.astype(np.float32)
    if hold:
        part[(first < 0) | (first >= source - 1)] = 0.0
    positions = np.stack([first, first + 1]).clip(0, source - 1)
    weights = np.stack([np.float32(1.0) - part, part]) * np.float32(_ONE)
    return positions, np.rint(weights).astype(np.int32)
