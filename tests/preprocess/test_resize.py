"""The resize against the golden pixels, and its fast form against its definition."""

import numpy as np
import pytest
from PIL import Image

from pipeline.card import load
from preprocess.geometry import crop_offset, resized
from preprocess.resize import resize_columns, with_numpy, with_pillow
from preprocess.transform import crop_frame
from preprocess.values import value_table
from tests.formula import DATA, frame

_CARD = load("3d_resnet")
_CROPS = np.load(DATA / "resize_crop_u8.npz")
_SIZES = [name.split("__")[1] for name in _CROPS if name.startswith("3d_resnet__")]


@pytest.mark.parametrize("size", _SIZES)
def test_definition_equals_the_recipes_pixels(size: str) -> None:
    width, height = map(int, size.split("x"))
    new_width, new_height = resized(width, height, _CARD.transform)
    left, top = (crop_offset(side, 112, "center") for side in (new_width, new_height))
    pixels = with_numpy(Image.fromarray(frame(101, 3, height, width)), new_width, new_height, left, 112)
    np.testing.assert_array_equal(pixels[top : top + 112], _CROPS[f"3d_resnet__{size}"])


def test_fast_form_equals_the_definition_on_random_sizes() -> None:
    # 132x272 to 112x230 is a size at which Pillow 13 swaps its passes when asked for both at once.
    random = np.random.default_rng(20)
    sizes = [(132, 272, 112, 230), (1, 1, 7, 9), (640, 3, 112, 5), (200, 150, 200, 150), (3000, 40, 64, 40)]
    sizes += [tuple(int(value) for value in random.integers(1, 400, 4)) for _ in range(60)]
    for width, height, new_width, new_height in sizes:
        image = Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
        left = int(random.integers(0, new_width))
        columns = int(random.integers(1, new_width - left + 1))
        expected = with_numpy(image, new_width, new_height, left, columns)
        for resize in (with_pillow, resize_columns):
            got = resize(image, new_width, new_height, left, columns)
            np.testing.assert_array_equal(got, expected, err_msg=f"{width}x{height} to {new_width}x{new_height}")


def test_shorter_side_that_fits_already_stays() -> None:
    assert resized(112, 300, _CARD.transform) == (112, 300)


def test_crop_offset_rounds_halves_to_even() -> None:
    assert [crop_offset(extent, 112, "center") for extent in (149, 147, 148, 198, 124, 112)] == [18, 18, 18, 43, 6, 0]


def test_value_table_equals_the_golden_table() -> None:
    golden = np.load(DATA / "luts.npz")["lut_3d_resnet"]
    np.testing.assert_array_equal(value_table(_CARD.transform).T.view(np.uint32), golden.view(np.uint32))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "LA"])
def test_other_colour_modes_become_three_channels(mode: str) -> None:
    image = Image.fromarray(frame(7, 0, 120, 130)).convert("L").convert(mode)
    expected = crop_frame(image.convert("RGB"), _CARD.transform)
    np.testing.assert_array_equal(crop_frame(image, _CARD.transform), expected)
