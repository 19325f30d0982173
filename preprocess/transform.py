"""From a decoded frame to the pixels that a clip shows: resize, crop, colour order."""

from __future__ import annotations

import numpy as np

from clip2om.pipeline.card import Transform
from clip2om.preprocess import linear, resize
from clip2om.preprocess.frames import Frame
from clip2om.preprocess.geometry import crop_of


def crop_frame(frame: Frame, transform: Transform) -> np.ndarray:
    """Resize and crop one frame.

    Returns:
        uint8 array (3, size, size), channels in the card's colour order.

    Raises:
        ValueError: the crop would leave the frame.
    """
    width, height = (frame.shape[1], frame.shape[0]) if isinstance(frame, np.ndarray) else frame.size
    kernel = linear if transform.kernel == "cv2-linear" else resize
    planes = kernel.fastest()(frame, crop_of(width, height, transform))
    return planes if transform.color == "RGB" else planes[::-1]
