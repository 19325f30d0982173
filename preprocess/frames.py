"""A decoded frame: an image of Pillow's, or an array where the decoder gives one; each kernel takes what it needs."""

from __future__ import annotations

from typing import Union

import numpy as np
from PIL import Image

Frame = Union[Image.Image, np.ndarray]


def as_array(frame: Frame) -> np.ndarray:
    """Return uint8 (H, W, 3), RGB; rows may be apart, pixels are not."""
    return frame if isinstance(frame, np.ndarray) else np.asarray(to_rgb(frame))


def as_image(frame: Frame) -> Image.Image:
    """Return an image of mode RGB."""
    return Image.fromarray(np.ascontiguousarray(frame)) if isinstance(frame, np.ndarray) else to_rgb(frame)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an image of mode RGB.

    Grey becomes three equal channels, palettes their colours, alpha is dropped, CMYK is turned as Pillow does; of 16
    bits the upper 8 are kept, as OpenCV keeps them.

    Raises:
        ValueError: its values have no such range: floating point, or integers above 16 bits.
    """
    if image.mode == "RGB":
        return image
    if image.mode == "F":
        raise ValueError("holds floating-point values, not colours")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError("holds integers above 16 bits, not colours")
        return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")
