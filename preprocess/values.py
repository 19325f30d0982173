"""From bytes to the values of a tensor: normalisation, and the order of the axes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Optional

import numpy as np

from pipeline.card import Card, Transform
from pipeline.mean_volume import read_mean_volume


def value_table(transform: Transform) -> np.ndarray:
    """Return the normalised value of each byte as float32 (3, 256).

    Each step is rounded to float32 as the recipe does: multiplying by 1/std would not give the same bits.
    """
    values = np.arange(256, dtype=np.float32) / np.float32(transform.scale)
    mean = np.array(transform.mean, np.float32)[:, None]
    std = np.array(transform.std, np.float32)[:, None]
    return (values[None, :] - mean) / std


@functools.lru_cache(maxsize=2)
def mean_volume(path: str, frames: int, size: int) -> np.ndarray:
    """Read the mean of each value of a clip.

    Returns:
        float32 (T, C, H, W).

    Raises:
        RequestError: as :func:`pipeline.mean_volume.read_mean_volume`.
    """
    return np.ascontiguousarray(read_mean_volume(Path(path), frames, size).transpose(0, 3, 1, 2))


def volume_path(card: Card) -> Optional[str]:
    """Return the file of the card's mean volume, once it is known to be one; None without.

    Raises:
        RequestError: there is no such file, or it is no mean volume of the card's clips.
    """
    if not card.mean_volume_digest():
        return None
    path = str(card.resolve(card.transform.mean_volume))
    mean_volume(path, card.clips.frames, card.transform.size)
    return path


class ClipWriter:
    """Turns cropped frames into the bytes of one clip, in a layout and dtype."""

    def __init__(self, transform: Transform, layout: str, dtype: str, volume: Optional[np.ndarray] = None) -> None:
        """Prepare the tables.

        Args:
            transform: Statistics of the card.
            layout: Axes of the tensor, from N or NK on.
            dtype: float32, or uint8: then the graph normalises.
            volume: Mean of each value, float32 (T, C, H, W), in place of the mean per channel.
        """
        self._axes = tuple("TCHW".index(axis) for axis in layout if axis in "TCHW")
        self._dtype = dtype
        self._table = value_table(transform)
        self._volume = volume
        self._scale = np.float32(transform.scale)
        self._std = np.array(transform.std, np.float32)[:, None, None]

    def pack(self, frames: np.ndarray) -> np.ndarray:
        """Lay out uint8 frames (T, H, W, C) as one contiguous clip without its batch axis."""
        planes = frames.transpose(0, 3, 1, 2)
        if self._dtype != "uint8":
            planes = self._normalised(planes)
        return np.ascontiguousarray(planes.transpose(self._axes))

    def _normalised(self, planes: np.ndarray) -> np.ndarray:
        if self._volume is not None:
            return ((planes.astype(np.float32) / self._scale) - self._volume) / self._std
        values = np.empty(planes.shape, np.float32)
        for channel, table in enumerate(self._table):
            values[:, channel] = table[planes[:, channel]]
        return values
