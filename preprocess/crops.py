"""Where all crops of a frame lie: the part of the resized frame that holds them, resized once, and the boxes in it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import List, Tuple

import numpy as np

from clip2om.pipeline.card import Transform
from clip2om.pipeline.card_views import KINDS
from clip2om.preprocess.geometry import Crop, check_fits, crop_offset, resized


@dataclass(frozen=True)
class Box:
    """One crop: where it begins in the part that is kept, and whether it is shown mirrored."""

    left: int
    top: int
    mirrored: bool = False


@dataclass(frozen=True)
class Boxes:
    """``part`` of the resized frame, and the crops of ``part.size`` columns or less in it."""

    part: Crop
    size: int
    boxes: Tuple[Box, ...]


class Pixels:
    """The pixels of one frame that its crops show.

    Args:
        planes: (3, rows, columns).
        where: The crops.
    """

    def __init__(self, planes: np.ndarray, where: Boxes) -> None:
        self._planes, self._where = planes, where

    def crop(self, number: int) -> np.ndarray:
        """Return one crop, (3, size, size), a view of the pixels."""
        box, size = self._where.boxes[number], self._where.size
        shown = self._planes[:, box.top : box.top + size, box.left : box.left + size]
        return shown[:, :, ::-1] if box.mirrored else shown


@functools.lru_cache(maxsize=256)
def boxes_of(width: int, height: int, transform: Transform) -> Boxes:
    """Return the crops of a frame of width x height, in the original's order.

    Raises:
        ValueError: a crop would leave the frame.
    """
    check_fits(width, height, transform)
    new_width, new_height = resized(width, height, transform)
    size = transform.size
    offsets = _offsets(new_width, new_height, transform)
    left, top = (min(axis) for axis in zip(*offsets))
    right, bottom = (max(axis) + size for axis in zip(*offsets))
    part = Crop(new_width, new_height, left, top, right - left, bottom - top)
    both = KINDS[transform.crop].mirrored or transform.flip
    boxes = [Box(x - left, y - top, flip) for x, y in offsets for flip in ((False, True) if both else (False,))]
    return Boxes(part, size, tuple(boxes))


def _offsets(width: int, height: int, transform: Transform) -> List[Tuple[int, int]]:
    """Return (left, top) of each crop in the resized frame, without mirror images."""
    size, rule = transform.size, transform.crop
    x, y = width - size, height - size
    if rule == "mmaction2-three":
        # The "right" one is not flush where what is left over is odd.
        return [(step * (x // 2), 0) for step in (0, 2, 1)] if y == 0 else [(0, step * (y // 2)) for step in (0, 2, 1)]
    if rule in ("mmaction2-ten", "tsm-ten", "tsm-five"):
        return [(across * (x // 4), down * (y // 4)) for across, down in ((0, 0), (4, 0), (0, 4), (4, 4), (2, 2))]
    if rule == "tsm-three":
        return [(across * (x // 4), 2 * (y // 4)) for across in (0, 4, 2)]
    if rule == "pyslowfast-three":
        middle = (-(-x // 2), -(-y // 2))
        if height > width:
            return [(middle[0], top) for top in (0, middle[1], y)]
        return [(left, middle[1]) for left in (0, middle[0], x)]
    if rule == "videomae-three":
        step = (max(width, height) - size) / 2
        places = [int(number * step) for number in range(3)]
        return [(0, place) for place in places] if height > width else [(place, 0) for place in places]
    return [_center(width, height, transform)]


def _center(width: int, height: int, transform: Transform) -> Tuple[int, int]:
    left, top = (crop_offset(extent, transform.size, transform.crop) for extent in (width, height))
    return left, top


def single(transform: Transform) -> bool:
    """True where a frame has one crop, which is shown as it is."""
    kind = KINDS[transform.crop]
    return len(kind.crops) == 1 and not (kind.mirrored or transform.flip)
