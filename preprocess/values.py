"""From bytes to the values of a tensor: normalisation, and the order of the axes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Optional, Sequence

import numpy as np

from clip2om.pipeline.card import Card, Transform
from clip2om.pipeline.mean_volume import read_mean_volume


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
    """Turns cropped frames into the values of one clip, in a layout and dtype."""

    def __init__(self, transform: Transform, layout: str, dtype: str, volume: Optional[np.ndarray] = None) -> None:
        """Prepare the statistics.

        Args:
            transform: Statistics of the card.
            layout: Axes of the tensor, from N or NK on.
            dtype: float32, or uint8: then the graph normalises.
            volume: Mean of each value, float32 (T, C, H, W), in place of the mean per channel.
        """
        self._axes = [axis for axis in layout if axis in "TCHW"]
        self._order = tuple(self._axes.index(axis) for axis in "TCHW")
        self._dtype = np.dtype(dtype)
        self._volume = volume
        self._scale = np.float32(transform.scale)
        self._mean = np.array(transform.mean, np.float32)[:, None, None]
        self._std = np.array(transform.std, np.float32)[:, None, None]

    def pack(self, frames: Sequence[np.ndarray], clip: Optional[np.ndarray] = None) -> np.ndarray:
        """Fill a clip, without a batch axis, from its frames.

        Each step of the normalisation is rounded to float32 as the recipes do: multiplying by 1/std would not give the
        same bits.

        Args:
            frames: T times uint8 (C, H, W).
            clip: Where to; a new array if there is none.
        """
        if clip is None:
            channels, height, width = frames[0].shape
            extents = {"T": len(frames), "C": channels, "H": height, "W": width}
            clip = np.empty([extents[axis] for axis in self._axes], self._dtype)
        shown = clip.transpose(self._order)
        for time, frame in enumerate(frames):
            planes = shown[time]
            if self._dtype == np.uint8:
                planes[...] = frame
                continue
            mean = self._mean if self._volume is None else self._volume[time]
            np.divide(frame, self._scale, out=planes)
            np.subtract(planes, mean, out=planes)
            np.divide(planes, self._std, out=planes)
        return clip
