"""Bilinear resize with antialiasing, exact to the byte: horizontal pass, then vertical pass, uint8 in between.

This is what Pillow 9.3 to 12.1 compute. Pillow 13 swaps the passes for some sizes and then differs by one grey level
on a quarter of the pixels, so each pass is asked of Pillow on its own: a resize along one axis has one possible order.
The compiled form computes only what the crop keeps. Before either is trusted, it is compared with the definition below.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from typing import Tuple

import numpy as np
from PIL import Image

from clip2om.preprocess import native
from clip2om.preprocess.frames import Frame, as_array, as_image
from clip2om.preprocess.geometry import Crop
from clip2om.preprocess.native import Form, is_exact

_PRECISION_BITS = 22
# As in kernels.c.
_BLOCK, _SLACK = 5, 64


@functools.lru_cache(maxsize=1)
def fastest() -> Form:
    """Return the fastest form that this host has and that equals the definition on probes."""
    return next((form for form in (compiled, with_pillow) if is_exact(form, with_numpy)), with_numpy)


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
    height, width = pixels.shape[:2]
    tables = _tables(width, height, crop, library.kernels_vectors())
    result = np.empty((3, crop.rows, crop.size), np.uint8)
    scratch = _scratch(tables.scratch)
    library.pil_bilinear(tables.pointer, pixels.ctypes.data, pixels.strides[0], scratch, result.ctypes.data)
    return result


def with_pillow(frame: Frame, crop: Crop) -> np.ndarray:
    """Resize by two one-directional resizes of Pillow; the columns are cut in between."""
    image = as_image(frame)
    if crop.width != image.width:
        image = image.resize((crop.width, image.height), Image.Resampling.BILINEAR)
    if (crop.left, crop.size) != (0, image.width):
        image = image.crop((crop.left, 0, crop.left + crop.size, image.height))
    if crop.height != image.height:
        image = image.resize((crop.size, crop.height), Image.Resampling.BILINEAR)
    return np.asarray(image)[crop.top : crop.top + crop.rows].transpose(2, 0, 1)


def with_numpy(frame: Frame, crop: Crop) -> np.ndarray:
    """Resize by the definition: 22-bit integer weights, rounding half up, uint8 after each pass."""
    pixels = as_array(frame)
    if crop.width != pixels.shape[1]:
        pixels = _one_pass(pixels, crop.width)
    pixels = pixels[:, crop.left : crop.left + crop.size]
    if crop.height != pixels.shape[0]:
        pixels = _one_pass(pixels.transpose(1, 0, 2), crop.height).transpose(1, 0, 2)
    return pixels[crop.top : crop.top + crop.rows].transpose(2, 0, 1)


def _one_pass(pixels: np.ndarray, extent: int) -> np.ndarray:
    taps, weights = _weights(pixels.shape[1], extent)
    total = np.full((pixels.shape[0], extent, 3), 1 << (_PRECISION_BITS - 1), np.int64)
    for tap, weight in zip(taps, weights):
        total += pixels[:, tap].astype(np.int64) * weight[:, None]
    return np.clip(total >> _PRECISION_BITS, 0, 255).astype(np.uint8)


@functools.lru_cache(maxsize=64)
def _weights(source: int, target: int) -> Tuple[np.ndarray, np.ndarray]:
    """Return the source positions and the integer weights of each tap, both of shape (taps, target)."""
    scale = source / target
    radius = max(scale, 1.0)
    centre = (np.arange(target) + 0.5) * scale
    start = np.maximum((centre - radius + 0.5).astype(np.int64), 0)
    stop = np.minimum((centre + radius + 0.5).astype(np.int64), source)
    position = start + np.arange((stop - start).max())[:, None]
    weight = np.maximum(1.0 - np.abs((position - centre + 0.5) * (1.0 / radius)), 0.0)
    weight[position >= stop] = 0.0
    total = np.zeros(target)
    for row in weight:  # one by one, because the order of a floating-point sum decides its last bit
        total += row
    integer = (0.5 + weight / total * (1 << _PRECISION_BITS)).astype(np.int64)
    return np.minimum(position, source - 1), integer


class _Tables:
    """Taps of the positions that a crop keeps, as the kernel wants them.

    Attributes:
        pointer: To ``struct bilinear``.
        scratch: Bytes that the kernel works in.
    """

    def __init__(self, width: int, height: int, crop: Crop, vector: int) -> None:
        start, kept = _kept(height, crop.height, crop.top, crop.rows)
        rows = int(start[-1]) + kept.shape[1] - int(start[0])
        padded = -(-crop.size // 8) * 8
        begin, weights, blocks = _across(*_kept(width, crop.width, crop.left, crop.size), padded, vector)
        # The structure has addresses only: the arrays must live as long.
        self._arrays = [np.ascontiguousarray(array) for array in (begin, weights, start, kept)]
        places = [array.ctypes.data for array in self._arrays]
        self._all = native.Bilinear(width, height, crop.size, padded, blocks, kept.shape[1], crop.rows, *places)
        self.pointer = ctypes.pointer(self._all)
        self.scratch = rows * 4 * padded + 3 * width + _SLACK


_tables = functools.lru_cache(maxsize=256)(_Tables)


def _across(start: np.ndarray, kept: np.ndarray, padded: int, vector: int) -> Tuple[np.ndarray, np.ndarray, int]:
    """Return the taps of the horizontal pass: the first of each, in bytes, their weights, and how many blocks of five.

    Their number is filled up to whole blocks and that of positions to ``padded``. With vectors of ``vector`` positions,
    weights are int16 (positions / vector, blocks, 3, 2, vector, 8): per block three pairs of neighbours; of each the
    upper, then the lower eleven bits, for every position, four times. Without (0), int32 (positions, 5 x blocks).
    """
    blocks = -(-kept.shape[1] // _BLOCK)
    weights = np.zeros((padded, blocks * _BLOCK), np.int32)
    weights[: len(kept), : kept.shape[1]] = kept
    start = 3 * np.append(start, np.zeros(padded - len(kept), np.int32))
    if not vector:
        return start, weights, blocks
    pairs = np.zeros((padded, blocks, 6), np.int32)
    pairs[:, :, :_BLOCK] = weights.reshape(padded, blocks, _BLOCK)
    halves = np.stack([pairs >> 11, pairs & 0x7FF])
    halves = halves.reshape(2, padded // vector, vector, blocks, 3, 2).transpose(1, 3, 4, 0, 2, 5)
    return start, np.tile(halves, 4).astype(np.int16), blocks


def _kept(source: int, target: int, offset: int, size: int) -> Tuple[np.ndarray, np.ndarray]:
    """Return the first tap of ``size`` positions from ``offset``, int32, and the weights of all, int32 (size, taps)."""
    position, weight = _weights(source, target)
    taps = len(position)
    # The last of the taps may be beyond the edge, where their weight is 0: then all move inwards.
    first = position[0, offset : offset + size]
    start = np.minimum(first, source - taps)
    kept = weight[:, offset : offset + size]
    moved = np.zeros((size, taps), np.int32)
    places, positions = np.nonzero(kept)
    moved[positions, places + (first - start)[positions]] = kept[places, positions]
    return start.astype(np.int32), moved


_buffers = threading.local()


def _scratch(size: int) -> int:
    """Return the address of ``size`` bytes of this thread's: to ask for memory anew costs more than the resize."""
    found = getattr(_buffers, "bytes", None)
    if found is None or len(found) < size:
        found = _buffers.bytes = np.empty(size, np.uint8)
        _buffers.address = found.ctypes.data
    return _buffers.address
