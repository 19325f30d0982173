"""From a decoded frame to the pixels that a clip shows: resize, crop, colour order."""

from __future__ import annotations

import numpy as np
from PIL import Image

from pipeline.card import Transform
from preprocess import linear, resize
from preprocess.geometry import crop_of


def crop_frame(image: Image.Image, transform: Transform) -> np.ndarray:
    """Resize and crop one frame.

    Returns:
        uint8 array (size, size, 3), channels in the card's colour order.

    Raises:
        ValueError: the crop would leave the frame.
    """
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    crop = crop_of(rgb.width, rgb.height, transform)
    if transform.kernel == "cv2-linear":
        kept = linear.resize_crop(np.asarray(rgb), crop)
    else:
        rows = resize.resize_columns(rgb, crop.width, crop.height, crop.left, crop.size)
        kept = rows[crop.top : crop.top + crop.size]
    return kept if transform.color == "RGB" else kept[:, :, ::-1]
