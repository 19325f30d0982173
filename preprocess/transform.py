"""From a decoded frame to the pixels that a clip shows: resize, crop, colour order."""

from __future__ import annotations

from typing import Callable, Dict, Tuple

import numpy as np

from clip2om.pipeline.card import Transform
from clip2om.preprocess import float_linear, linear, resize
from clip2om.preprocess.crops import Pixels, boxes_of
from clip2om.preprocess.frames import Frame
from clip2om.preprocess.geometry import Crop, crop_of
from clip2om.preprocess.native import Form


def crop_frame(frame: Frame, transform: Transform) -> np.ndarray:
    """Resize and crop one frame.

    Returns:
        uint8 array (3, size, size), channels in the card's colour order; float32 with the kernel torch-linear-float.

    Raises:
        ValueError: the crop would leave the frame.
    """
    return _colored(frame, crop_of(*_extent(frame), transform), transform)


def crops_of_frame(frame: Frame, transform: Transform) -> Pixels:
    """Resize one frame, once, and return all its crops; dtype, order and errors as of :func:`crop_frame`."""
    where = boxes_of(*_extent(frame), transform)
    return Pixels(_colored(frame, where.part, transform), where)


def _extent(frame: Frame) -> Tuple[int, int]:
    return (frame.shape[1], frame.shape[0]) if isinstance(frame, np.ndarray) else frame.size


def _colored(frame: Frame, crop: Crop, transform: Transform) -> np.ndarray:
    planes = _FORMS[transform.kernel]()(frame, crop)
    return planes if transform.color == "RGB" else planes[::-1]


_FORMS: Dict[str, Callable[[], Form]] = {
    "pil-bilinear": resize.fastest,
    "cv2-linear": linear.fastest,
    "torch-linear": lambda: float_linear.rounded,
    "torch-linear-float": float_linear.fastest,
}
