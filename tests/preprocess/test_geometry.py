"""Size rules and crops against the table of the recipes' sizes, and the cv2-linear kernel against golden pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

import numpy as np
import pytest
from PIL import Image

from clip2om.pipeline.cards import load
from clip2om.preprocess.geometry import Crop, crop_of, resized
from clip2om.preprocess.linear import with_numpy
from clip2om.preprocess.transform import crop_frame
from tests.formula import DATA, frame

_PIL = load("3d_resnet").transform
_TF = replace(_PIL, kernel="cv2-linear", crop="center-floor", rounding="next")
_PADDLE = replace(_TF, resize=128, rule="height", rounding="nearest")
_MMACTION = replace(_PADDLE, rule="box", long=171)
_CROPS = np.load(DATA / "resize_crop_u8.npz")
_RULES = {"3d_resnet": _PIL, "c3d_tf": _TF, "c3d_paddle": _PADDLE, "c3d_mmaction": _MMACTION}
_BROKEN = "c3d_paddle__240x320"

# Width, height, left and top of the crop by the recipes' own code; None where their crop leaves the frame.
_TABLE = {
    (320, 240): ((149, 112, 18, 0), (150, 112, 19, 0), (171, 128, 29, 8), (171, 128, 29, 8)),
    (319, 240): ((148, 112, 18, 0), (149, 112, 18, 0), (170, 128, 29, 8), (170, 128, 29, 8)),
    (240, 320): ((112, 149, 0, 18), (112, 150, 0, 19), None, (128, 171, 8, 29)),
    (340, 256): ((148, 112, 18, 0), (149, 112, 18, 0), (170, 128, 29, 8), (170, 128, 29, 8)),
    (426, 240): ((198, 112, 43, 0), (199, 112, 43, 0), (227, 128, 57, 8), None),
    (171, 128): ((149, 112, 18, 0), (150, 112, 19, 0), (171, 128, 29, 8), (171, 128, 29, 8)),
    (112, 112): ((112, 112, 0, 0), (112, 113, 0, 0), (128, 128, 8, 8), (128, 128, 8, 8)),
    (100, 90): ((124, 112, 6, 0), (125, 112, 6, 0), (142, 128, 15, 8), (142, 128, 15, 8)),
    (1280, 720): ((199, 112, 44, 0), (200, 112, 44, 0), (228, 128, 58, 8), None),
}


@pytest.mark.parametrize(("name", "column"), [(name, column) for column, name in enumerate(_RULES)])
@pytest.mark.parametrize("size", _TABLE)
def test_sizes_and_offsets(size: tuple, name: str, column: int) -> None:
    expected: Optional[tuple] = _TABLE[size][column]
    if expected is None:
        with pytest.raises(ValueError, match="too small for the crop of 112x112"):
            crop_of(*size, _RULES[name])
    else:
        assert crop_of(*size, _RULES[name]) == Crop(*expected, 112)


@pytest.mark.parametrize("key", [key for key in _CROPS if key != _BROKEN])
def test_crops_equal_the_recipes_pixels(key: str) -> None:
    name, _, size = key.partition("__")
    width, height = map(int, size.split("x"))
    cropped = crop_frame(Image.fromarray(frame(101, 3, height, width)), _RULES[name])
    np.testing.assert_array_equal(cropped.transpose(1, 2, 0), _CROPS[key])


def test_every_rule_that_fits_gives_the_shorter_sides_pixels_for_common_frames() -> None:
    short = replace(_PADDLE, rule="short")
    for size in ((320, 240), (319, 240), (171, 128), (112, 112)):
        assert resized(*size, short) == resized(*size, _PADDLE) == resized(*size, _MMACTION)
    assert resized(240, 320, short) == (128, 171)
    assert resized(426, 240, short) == (227, 128)


def test_stretch_ignores_the_aspect() -> None:
    stretch = replace(_PIL, resize=128, rule="stretch", long=171)
    assert crop_of(171, 128, stretch) == Crop(171, 128, 30, 8, 112)
    assert crop_of(30, 400, stretch) == Crop(171, 128, 30, 8, 112)


def _by_definition(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize by the definition of OpenCV's fixed point, one output pixel after the other."""

    def taps(source: int, target: int) -> list:
        found = []
        for index in range(target):
            at = np.float32((index + 0.5) * (1.0 / (target / source)) - 0.5)
            first = int(np.floor(at))
            found.append((first, np.float32(at - np.float32(first))))
        return found

    def weights(part: np.float32) -> tuple:
        return round(float((np.float32(1) - part) * np.float32(2048))), round(float(part * np.float32(2048)))

    rows, columns = pixels.shape[:2]
    result = np.empty((height, width, 3), np.uint8)
    for y, (row, down) in enumerate(taps(rows, height)):
        for x, (column, right) in enumerate(taps(columns, width)):
            if column < 0 or column >= columns - 1:
                column, right = min(max(column, 0), columns - 1), np.float32(0)
            sums = [
                sum(
                    weight * pixels[min(max(line, 0), rows - 1), min(column + step, columns - 1)].astype(int)
                    for step, weight in enumerate(weights(right))
                )
                for line in (row, row + 1)
            ]
            parts = [(weight * (line >> 4)) >> 16 for weight, line in zip(weights(down), sums)]
            result[y, x] = (parts[0] + parts[1] + 2) >> 2
    return result


def test_linear_kernel_equals_its_definition_on_random_sizes() -> None:
    random = np.random.default_rng(5)
    sizes = [(1, 1, 5, 4), (2, 50, 9, 7), (31, 17, 31, 20), (40, 24, 13, 24)]
    sizes += [tuple(int(value) for value in random.integers(1, 40, 4)) for _ in range(20)]
    for width, height, new_width, new_height in sizes:
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        size = int(random.integers(1, min(new_width, new_height) + 1))
        left, top = new_width - size, (new_height - size) // 2
        mine = with_numpy(pixels, Crop(new_width, new_height, left, top, size)).transpose(1, 2, 0)
        expected = _by_definition(pixels, new_width, new_height)[top : top + size, left : left + size]
        np.testing.assert_array_equal(mine, expected, err_msg=f"{width}x{height} to {new_width}x{new_height}")


def test_half_size_is_the_mean_of_four_pixels() -> None:
    pixels = np.random.default_rng(6).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    blocks = pixels.reshape(10, 2, 15, 2, 3).astype(int).sum((1, 3))
    mine = with_numpy(pixels, Crop(15, 10, 4, 2, 6)).transpose(1, 2, 0)
    np.testing.assert_array_equal(mine, ((blocks + 2) >> 2)[2:8, 4:10])
