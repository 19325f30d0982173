"""Bilinear resize without antialiasing in float32, as PyTorch's interpolate: torchvision's presets and PySlowFast.

torchvision rounds what comes out to bytes (PyTorch's own kernels differ in ties); PySlowFast and pytorchvideo resize
values that are normalised already, which is the same up to the last bits, as the resize is linear: so floats are kept.
"""

from __future__ import annotations

import functools
from typing import Tuple

import numpy as np

from clip2om.preprocess import native
from clip2om.preprocess.frames import Frame, as_array
from clip2om.preprocess.geometry import Crop
from clip2om.preprocess.native import Form, is_exact


@functools.lru_cache(maxsize=1)
def fastest() -> Form:
    """Return the compiled form where this host has it and it equals the definition on probes."""
    return compiled if is_exact(compiled, with_numpy) else with_numpy


def rounded(frame: Frame, crop: Crop) -> np.ndarray:
    """Return what :func:`fastest` gives as bytes, halves to even: torchvision's."""
    return np.rint(fastest()(frame, crop)).astype(np.uint8)


def compiled(frame: Frame, crop: Crop) -> np.ndarray:
    """Resize and crop by the compiled kernel.

    Returns:
        float32 (3, rows, size), 0 to 255.

    Raises:
        NotImplementedError: this host has no compiled kernels.
    """
    library = native.library()
    if library is None:
        raise NotImplementedError
    pixels = as_array(frame)
    x = _table(pixels.shape[1], crop.width, crop.left, crop.size)
    y = _table(pixels.shape[0], crop.height, crop.top, crop.rows)
    scratch = np.empty(6 * crop.size, np.float32)
    result = np.empty((3, crop.rows, crop.size), np.float32)
    tables = (array.ctypes.data for array in (*x, *y, scratch, result))
    library.torch_linear(pixels.ctypes.data, pixels.strides[0], crop.size, crop.rows, *tables)
    return result


def with_numpy(frame: Frame, crop: Crop) -> np.ndarray:
    """Resize by the definition, computing only what the crop keeps; see :func:`compiled`."""
    pixels = as_array(frame)
    across, weights = _table(pixels.shape[1], crop.width, crop.left, crop.size)
    down, factors = _table(pixels.shape[0], crop.height, crop.top, crop.rows)
    used, places = np.unique(down, return_inverse=True)
    band = pixels[used].astype(np.float32)
    sums = band[:, across[0]] * weights[0, :, None] + band[:, across[1]] * weights[1, :, None]
    upper, lower = sums[places.reshape(2, -1)]
    total = upper * factors[0, :, None, None] + lower * factors[1, :, None, None]
    return np.ascontiguousarray(total.transpose(2, 0, 1))


@functools.lru_cache(maxsize=256)
def _table(source: int, target: int, offset: int, size: int) -> Tuple[np.ndarray, np.ndarray]:
    """Return the two source positions of ``size`` target positions from ``offset``, and their weights.

    Returns:
        int32 (2, size), and float32 (2, size).
    """
    one = np.float32(1.0)
    scale = np.float32(source) / np.float32(target)
    exact = scale * (np.arange(offset, offset + size, dtype=np.float32) + np.float32(0.5)) - np.float32(0.5)
    exact = np.maximum(exact, np.float32(0.0))
    first = np.minimum(exact.astype(np.int32), source - 1)
    part = np.clip(exact - first.astype(np.float32), np.float32(0.0), one)
    return np.stack([first, np.minimum(first + 1, source - 1)]), np.stack([one - part, part])
