"""Bilinear resize with antialiasing, exact to the byte: horizontal pass, then vertical pass, uint8 in between.

This is what Pillow 9.3 to 12.1 compute. Pillow 13 swaps the passes for some sizes and then differs by one grey level
on a quarter of the pixels, so each pass is asked of Pillow on its own: a resize along one axis has one possible order.
The compiled form computes only what the crop keeps. Before either is trusted, it is compared with the definition below.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from typing import Tuple

import numpy as np
from PIL import Image

from preprocess import native
from preprocess.frames import Frame, as_array, as_image
from preprocess.geometry import Crop
from preprocess.native import Form, is_exact

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
        uint8 (3, size, size).

    Raises:
        NotImplementedError: this host has no compiled kernels.
    """
    library = native.library()
    if library is None:
        raise NotImplementedError
    pixels = as_array(frame)
    height, width = pixels.shape[:2]
    x = _across(width, crop.width, crop.left, crop.size, bool(library.kernels_vectors()))
    y = _down(height, crop.height, crop.top, crop.size)
    scratch = _scratch(y.rows * 4 * len(x.start) + 3 * width + _SLACK)
    result = np.empty((3, crop.size, crop.size), np.uint8)
    library.pil_bilinear(
        *(pixels.ctypes.data, pixels.strides[0], width, height, crop.size, len(x.start)),
        *(*x.addresses, x.taps, *y.addresses, y.taps),
        *(scratch.ctypes.data, result.ctypes.data),
    )
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
    return np.asarray(image)[crop.top : crop.top + crop.size].transpose(2, 0, 1)


def with_numpy(frame: Frame, crop: Crop) -> np.ndarray:
    """Resize by the definition: 22-bit integer weights, rounding half up, uint8 after each pass."""
    pixels = as_array(frame)
    if crop.width != pixels.shape[1]:
        pixels = _one_pass(pixels, crop.width)
    pixels = pixels[:, crop.left : crop.left + crop.size]
    if crop.height != pixels.shape[0]:
        pixels = _one_pass(pixels.transpose(1, 0, 2), crop.height).transpose(1, 0, 2)
    return pixels[crop.top : crop.top + crop.size].transpose(2, 0, 1)


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


@dataclass(frozen=True)
class _Table:
    """Taps of the positions that a crop keeps, as a kernel wants them.

    Attributes:
        start: First tap of each position, int32.
        weights: Of each tap.
        taps: Number of them; across, of blocks of five.
        rows: Extent from the first to the last of all taps.
        addresses: Of ``start`` and ``weights``.
    """

    start: np.ndarray
    weights: np.ndarray
    taps: int
    rows: int
    addresses: Tuple[int, int]


@functools.lru_cache(maxsize=256)
def _down(source: int, target: int, offset: int, size: int) -> _Table:
    """Return the taps of the vertical pass; weights are int32 (size, taps)."""
    start, weights = _kept(source, target, offset, size)
    return _made(start, weights, weights.shape[1], int(start[-1]) + weights.shape[1] - int(start[0]))


@functools.lru_cache(maxsize=256)
def _across(source: int, target: int, offset: int, size: int, vectors: bool) -> _Table:
    """Return the taps of the horizontal pass, their number filled up to whole blocks and that of positions to eights.

    With ``vectors``, weights are int16 (positions / 4, 2, blocks, 3, 2, 2, 8): per four positions the even, then the
    odd ones; per block three pairs of neighbours; of each the upper, then the lower eleven bits, for both positions,
    four times. Without, int32 (positions, 5 x blocks).
    """
    start, kept = _kept(source, target, offset, size)
    blocks, padded = -(-kept.shape[1] // _BLOCK), -(-size // 8) * 8
    weights = np.zeros((padded, blocks * _BLOCK), np.int32)
    weights[:size, : kept.shape[1]] = kept
    start = 3 * np.append(start, np.zeros(padded - size, np.int32))
    if not vectors:
        return _made(start, weights, blocks, 0)
    pairs = np.zeros((padded, blocks, 6), np.int32)
    pairs[:, :, :_BLOCK] = weights.reshape(padded, blocks, _BLOCK)
    halves = np.stack([pairs >> 11, pairs & 0x7FF])
    # (halves, four, position 0 or 2, even or odd, blocks, pairs, neighbours)
    halves = halves.reshape(2, padded // 4, 2, 2, blocks, 3, 2).transpose(1, 3, 4, 5, 0, 2, 6)
    return _made(start, np.tile(halves, 4).astype(np.int16), blocks, 0)


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


def _made(start: np.ndarray, weights: np.ndarray, taps: int, rows: int) -> _Table:
    start, weights = np.ascontiguousarray(start, np.int32), np.ascontiguousarray(weights)
    return _Table(start, weights, taps, rows, (start.ctypes.data, weights.ctypes.data))


_buffers = threading.local()


def _scratch(size: int) -> np.ndarray:
    """Return ``size`` bytes of this thread's: memory that is asked for anew costs more than the resize."""
    found = getattr(_buffers, "bytes", None)
    if found is None or len(found) < size:
        found = _buffers.bytes = np.empty(size, np.uint8)
    return found
