"""A decoded frame: an image of Pillow's, or an array where the decoder gives one; each kernel takes what it needs."""

from __future__ import annotations

from typing import Union

import numpy as np
from PIL import Image

Frame = Union[Image.Image, np.ndarray]


def as_array(frame: Frame) -> np.ndarray:
    """Return uint8 (H, W, 3), RGB; rows may be apart, pixels are not."""
    return frame if isinstance(frame, np.ndarray) else np.asarray(_rgb(frame))


def as_image(frame: Frame) -> Image.Image:
    """Return an image of mode RGB."""
    return Image.fromarray(np.ascontiguousarray(frame)) if isinstance(frame, np.ndarray) else _rgb(frame)


def _rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")
