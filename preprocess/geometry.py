"""Where a frame's crop lies: the size after the resize, and the offset of the crop in it."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Tuple

from clip2om.pipeline.card import Transform


@dataclass(frozen=True)
class Crop:
    """``size`` x ``size`` pixels at (left, top) of a frame that was resized to width x height.

    ``high`` is how many rows they have where that is not ``size`` (0).
    """

    width: int
    height: int
    left: int
    top: int
    size: int
    high: int = 0

    @property
    def rows(self) -> int:
        """Height of the crop."""
        return self.high or self.size


@functools.lru_cache(maxsize=256)
def crop_of(width: int, height: int, transform: Transform) -> Crop:
    """Return the crop of a frame of width x height.

    Raises:
        ValueError: it would leave the frame. The published c3d_paddle and c3d_mmaction transforms (rules ``height`` and
            ``box``) give tensors of another shape there, which no batch can hold.
    """
    new_width, new_height = resized(width, height, transform)
    size = transform.size
    check_fits(width, height, transform)
    left, top = (crop_offset(extent, size, transform.crop) for extent in (new_width, new_height))
    return Crop(new_width, new_height, left, top, size)


def check_fits(width: int, height: int, transform: Transform) -> None:
    """Refuse a frame that is too small for the crop once it is resized; raises ValueError."""
    new_width, new_height = resized(width, height, transform)
    size = transform.size
    if min(new_width, new_height) < size:
        raise ValueError(
            f"{width}x{height} becomes {new_width}x{new_height} by rule {transform.rule}, too small for the crop of "
            f"{size}x{size}; --set transform.rule=short fits every size"
        )


def resized(width: int, height: int, transform: Transform) -> Tuple[int, int]:
    """Return (width, height) after the resize.

    The products are formed in the order of the recipes, because for some sizes a float falls just below an integer.
    """
    side, rule, rounding = transform.resize, transform.rule, transform.rounding
    if rule == "stretch":
        return transform.long, side
    if rule == "height":
        return _round(width, side / height, rounding), side
    if rule == "box":
        scale = min(transform.long / max(width, height), side / min(width, height))
        return _round(width, scale, rounding), _round(height, scale, rounding)
    if rounding == "ratio":
        return _by_ratio(width, height, side)
    if rounding == "truncate":
        return _truncated(width, height, side)
    if width > height:
        return _round(width, side / height, rounding), side
    return side, _round(height, side / width, rounding)


def crop_offset(extent: int, size: int, rule: str) -> int:
    """Return where a centre crop begins: half of what is left over, halves to even (149: 18), down, or up."""
    if rule == "center-ceil":
        return -(-(extent - size) // 2)
    return round((extent - size) / 2) if rule == "center" else (extent - size) // 2


def _truncated(width: int, height: int, side: int) -> Tuple[int, int]:
    """Follow the 3d_resnet recipe, which multiplies first, and leaves a frame alone whose shorter side fits already."""
    if min(width, height) == side:
        return width, height
    if width < height:
        return side, int(side * height / width)
    return int(side * width / height), side


def _by_ratio(width: int, height: int, side: int) -> Tuple[int, int]:
    """Follow PySlowFast and pytorchvideo, which divide first."""
    if width < height:
        return side, math.floor((float(height) / width) * side)
    return math.floor((float(width) / height) * side), side


def _round(extent: int, scale: float, rounding: str) -> int:
    """Return the scaled extent: truncated, the next integer above that (c3d_tf), or the nearest one (c3d_paddle)."""
    return int(extent * scale + {"truncate": 0.0, "next": 1.0, "nearest": 0.5}[rounding])
