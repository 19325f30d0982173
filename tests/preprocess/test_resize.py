"""The resizes in all their forms: the golden pixels, and the fast forms against the definitions, bit for bit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Iterator, Tuple

import numpy as np
import pytest
from PIL import Image

from clip2om.pipeline.cards import load
from clip2om.preprocess import linear, native, resize
from clip2om.preprocess.frames import Frame
from clip2om.preprocess.geometry import Crop, crop_of, resized
from clip2om.preprocess.native import Form
from clip2om.preprocess.transform import crop_frame
from clip2om.preprocess.values import ClipWriter
from tests.formula import DATA, frame

_CARD = load("3d_resnet")
_CROPS = np.load(DATA / "resize_crop_u8.npz")
_SIZES = [name.split("__")[1] for name in _CROPS if name.startswith("3d_resnet__")]
_FORMS = {form.__name__: form for form in (resize.compiled, resize.with_pillow, resize.with_numpy)}
_NEEDS_COMPILER = pytest.mark.skipif(native.library() is None, reason="this host has no C compiler")


def _forms() -> list:
    return [pytest.param(form, marks=_NEEDS_COMPILER if name == "compiled" else ()) for name, form in _FORMS.items()]


@pytest.mark.parametrize("form", _forms())
@pytest.mark.parametrize("size", _SIZES)
def test_every_form_equals_the_recipes_pixels(size: str, form: Form) -> None:
    width, height = map(int, size.split("x"))
    planes = form(frame(101, 3, height, width), crop_of(width, height, _CARD.transform))
    np.testing.assert_array_equal(planes.transpose(1, 2, 0), _CROPS[f"3d_resnet__{size}"])


def _cases(seed: int, count: int) -> Iterator[Tuple[np.ndarray, Crop]]:
    """Yield random frames with random crops: tiny, odd, tall, wide, enlarged, shrunk, with rows apart and together."""
    random = np.random.default_rng(seed)
    # 132x272 to 112x230 is a size at which Pillow 13 swaps its passes when asked for both at once.
    sizes = [(132, 272, 112, 230), (1, 1, 7, 9), (640, 3, 112, 5), (200, 150, 200, 150), (3000, 40, 64, 40)]
    sizes += [(2, 1, 1, 1), (1, 300, 300, 1), (16, 16, 8, 8), (33, 16, 17, 8), (320, 240, 149, 112)]
    sizes += [tuple(int(value) for value in random.integers(1, 120, 4)) for _ in range(count)]
    for number, (width, height, new_width, new_height) in enumerate(sizes):
        padding = 7 * (number % 2)
        values = random.integers(0, 256, (height, width + padding, 3), dtype=np.uint8)
        # The extremes of the fixed point come from extreme pixels.
        pixels = (values if number % 3 else np.where(values < 128, 0, 255).astype(np.uint8))[:, :width]
        size = int(random.integers(1, min(new_width, new_height) + 1))
        left, top = (int(random.integers(0, extent - size + 1)) for extent in (new_width, new_height))
        yield pixels, Crop(new_width, new_height, left, top, size)


def _compare(form: Form, definition: Form, pixels: Frame, crop: Crop) -> None:
    shape = pixels.shape if isinstance(pixels, np.ndarray) else pixels.size
    np.testing.assert_array_equal(form(pixels, crop), definition(pixels, crop), err_msg=f"{shape} to {crop}")


@pytest.mark.parametrize("form", _forms()[:2])
def test_fast_forms_equal_the_definition_on_random_sizes(form: Form) -> None:
    for pixels, crop in _cases(20, 150):
        _compare(form, resize.with_numpy, pixels, crop)


@_NEEDS_COMPILER
def test_compiled_linear_equals_the_definition_on_random_sizes() -> None:
    for pixels, crop in _cases(21, 150):
        _compare(linear.compiled, linear.with_numpy, pixels, crop)


@pytest.mark.parametrize("size", [(4097, 2161), (2161, 4097), (3, 310), (5000, 70), (113, 112), (112, 113)])
def test_fast_forms_on_frames_of_the_recipes_and_beyond_4k(size: tuple) -> None:
    width, height = size
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    crop = crop_of(width, height, _CARD.transform)
    _compare(resize.fastest(), resize.with_numpy, pixels, crop)
    _compare(linear.fastest(), linear.with_numpy, pixels, crop)


@_NEEDS_COMPILER
def test_nothing_is_read_or_written_outside() -> None:
    # A frame at the very end of a page, the next one of which may not be touched.
    import mmap

    random = np.random.default_rng(3)
    for width, height in ((5, 4), (31, 17), (64, 64)):
        count = 3 * width * height
        pages = -(-count // mmap.PAGESIZE) * mmap.PAGESIZE
        area = mmap.mmap(-1, pages + mmap.PAGESIZE)
        _forbid(area, pages)
        pixels = np.frombuffer(area, np.uint8, count, pages - count).reshape(height, width, 3)
        pixels[...] = random.integers(0, 256, pixels.shape)
        for crop in (Crop(width, height, width - 3, height - 3, 3), Crop(9, 7, 2, 0, 7), Crop(40, 50, 1, 11, 39)):
            _compare(resize.compiled, resize.with_numpy, pixels, crop)
            _compare(linear.compiled, linear.with_numpy, pixels, crop)


def _forbid(area: object, offset: int) -> None:
    import ctypes
    import mmap

    start = ctypes.addressof(ctypes.c_char.from_buffer(area)) + offset  # type: ignore[arg-type]
    assert ctypes.CDLL(None, use_errno=True).mprotect(ctypes.c_void_p(start), mmap.PAGESIZE, 0) == 0


def test_without_a_compiler_pillow_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "library", lambda: None)
    resize.fastest.cache_clear()
    linear.fastest.cache_clear()
    try:
        assert resize.fastest() is resize.with_pillow
        assert linear.fastest() is linear.with_numpy
    finally:
        resize.fastest.cache_clear()
        linear.fastest.cache_clear()


@_NEEDS_COMPILER
@pytest.mark.parametrize("count", [0, 1, 2])
def test_code_for_every_kind_of_vector_equals_the_definition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    flags = native._processor_flags()[:count]
    monkeypatch.setattr(native, "native_folder", lambda: tmp_path / "build" / "native")
    monkeypatch.setattr(native, "_processor_flags", lambda: flags)
    library = native.library.__wrapped__()
    assert library is not None
    assert library.kernels_vectors() == [0, 2, 4][len(flags)]
    assert [path.suffix for path in (tmp_path / "build" / "native").iterdir()] == [".so"]
    monkeypatch.setattr(native, "library", lambda: library)
    for pixels, crop in _cases(22, 60):
        _compare(resize.compiled, resize.with_numpy, pixels, crop)
        _compare(linear.compiled, linear.with_numpy, pixels, crop)


@_NEEDS_COMPILER
def test_compiler_that_fails_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "native_folder", lambda: tmp_path / "build" / "native")
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "cc").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "cc").chmod(0o755)
    assert native.library.__wrapped__() is None
    (tmp_path / "cc").unlink()
    assert native.library.__wrapped__() is None
    shutil.rmtree(tmp_path / "build", ignore_errors=True)
    (tmp_path / "build").write_text("a file where the folder should be")
    assert native.library.__wrapped__() is None


def test_shorter_side_that_fits_already_stays() -> None:
    assert resized(112, 300, _CARD.transform) == (112, 300)


def test_values_equal_the_golden_table() -> None:
    golden = np.load(DATA / "luts.npz")["lut_3d_resnet"]
    every = np.broadcast_to(np.arange(256, dtype=np.uint8).reshape(1, 16, 16), (3, 16, 16))
    clip = ClipWriter(_CARD.transform, "NCTHW", "float32").pack([every])
    np.testing.assert_array_equal(clip.reshape(3, 256).T.view(np.uint32), golden.view(np.uint32))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "LA"])
def test_other_colour_modes_become_three_channels(mode: str) -> None:
    image = Image.fromarray(frame(7, 0, 120, 130)).convert("L").convert(mode)
    expected = crop_frame(image.convert("RGB"), _CARD.transform)
    np.testing.assert_array_equal(crop_frame(image, _CARD.transform), expected)
