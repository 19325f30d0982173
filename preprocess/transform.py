"""From a decoded frame to the values of a tensor: resize, crop, normalise, lay out."""

from __future__ import annotations

from typing import Tuple

import numpy as np
from PIL import Image

from pipeline.card import Card, Transform
from pipeline.manifest import Fingerprint
from preprocess.resize import resize_columns

_DECODERS = {"frames": "JPEG, libjpeg slow integer IDCT, smooth chroma (Pillow)", "video": "FFmpeg to rgb24 (PyAV)"}


def resized(width: int, height: int, side: int) -> Tuple[int, int]:
    """Return (width, height) with the shorter side at ``side``, the longer one truncated (3d_resnet recipe)."""
    if min(width, height) == side:
        return width, height
    if width < height:
        return side, int(side * height / width)
    return int(side * width / height), side


def crop_offset(extent: int, size: int) -> int:
    """Return where a centre crop begins: (extent - size) / 2, halves to even (3d_resnet recipe: 149 gives 18)."""
    return round((extent - size) / 2)


def crop_frame(image: Image.Image, transform: Transform) -> np.ndarray:
    """Resize and crop one frame.

    Returns:
        uint8 array (size, size, 3), channels in the card's colour order.
    """
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    width, height = resized(rgb.width, rgb.height, transform.resize)
    left, top = crop_offset(width, transform.size), crop_offset(height, transform.size)
    kept = resize_columns(rgb, width, height, left, transform.size)[top : top + transform.size]
    return kept if transform.color == "RGB" else kept[:, :, ::-1]


def value_table(transform: Transform) -> np.ndarray:
    """Return the normalised value of each byte as float32 (3, 256).

    Each step is rounded to float32 as the recipe does: multiplying by 1/std would not give the same bits.
    """
    values = np.arange(256, dtype=np.float32) / np.float32(transform.scale)
    mean = np.array(transform.mean, np.float32)[:, None]
    std = np.array(transform.std, np.float32)[:, None]
    return (values[None, :] - mean) / std


class ClipWriter:
    """Turns cropped frames into the bytes of one clip, in the card's layout and dtype."""

    def __init__(self, transform: Transform, layout: str, dtype: str) -> None:
        self._axes = tuple("TCHW".index(axis) for axis in layout[1:])
        self._table = value_table(transform) if dtype == "float32" else None

    def pack(self, frames: np.ndarray) -> np.ndarray:
        """Lay out uint8 frames (T, H, W, C) as one contiguous clip without its batch axis."""
        planes = frames.transpose(0, 3, 1, 2)
        if self._table is None:
            return np.ascontiguousarray(planes.transpose(self._axes))
        values = np.empty(planes.shape, np.float32)
        for channel, table in enumerate(self._table):
            values[:, channel] = table[planes[:, channel]]
        return np.ascontiguousarray(values.transpose(self._axes))


def fingerprint(card: Card, source_kinds: Tuple[str, ...], max_clips: int) -> Fingerprint:
    """Return what decides the values of the card's tensors for sources of the given kinds (frames, video)."""
    transform, clips = card.transform, card.clips
    return Fingerprint(
        decoder=" + ".join(_DECODERS[kind] for kind in sorted(source_kinds)),
        kernel=transform.kernel,
        antialias=True,
        rounding="uint8 after each pass, horizontal first; float32 after each normalisation step",
        resize=transform.resize,
        crop=transform.crop,
        size=transform.size,
        color=transform.color,
        scale=transform.scale,
        mean=transform.mean,
        std=transform.std,
        sampler=clips.sampler,
        frames=clips.frames,
        stride=clips.stride,
        max_clips=max_clips,
    )
