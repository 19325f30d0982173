"""libjpeg-turbo directly gives the bytes that Pillow gives, and leaves to Pillow what is not a plain JPEG."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clip2om.preprocess import jpeg
from clip2om.preprocess.errors import BadVideoError
from clip2om.preprocess.frames import as_array
from clip2om.preprocess.jpeg import FrameReader
from tests.formula import frame


def _jpeg(pixels: np.ndarray, mode: str = "RGB", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def _pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def _read(folder: Path, data: bytes, reader: FrameReader) -> object:
    (folder / "a.jpg").write_bytes(data)
    return reader.read("a.jpg")


def test_turbo_is_what_the_tests_run() -> None:
    assert jpeg.turbo() is not None, "pip install -r requirements/core.txt"


def test_sizes_samplings_and_qualities_at_random(tmp_path: Path) -> None:
    random = np.random.default_rng(9)
    reader = FrameReader(str(tmp_path))
    for number in range(80):
        height, width = (int(value) for value in random.integers(1, 90, 2))
        subsampling = ("4:4:4", "4:2:2", "4:2:0")[number % 3]
        options = {"quality": int(random.integers(1, 101)), "progressive": number % 4 == 0, "optimize": number % 5 == 0}
        data = _jpeg(frame(number, 0, height, width), subsampling=subsampling, **options)
        got = _read(tmp_path, data, reader)
        assert isinstance(got, np.ndarray)
        np.testing.assert_array_equal(got, _pillow(data), err_msg=f"{width}x{height} {subsampling} {options}")


def test_frame_larger_than_4k(tmp_path: Path) -> None:
    data = _jpeg(np.random.default_rng(1).integers(0, 256, (2170, 4100, 3), dtype=np.uint8), quality=50)
    np.testing.assert_array_equal(as_array(_read(tmp_path, data, FrameReader(str(tmp_path)))), _pillow(data))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_colour_spaces_are_pillows(tmp_path: Path, mode: str) -> None:
    data = _jpeg(frame(1, 0, 30, 40), mode)
    got = _read(tmp_path, data, FrameReader(str(tmp_path)))
    assert isinstance(got, Image.Image)
    np.testing.assert_array_equal(as_array(got), _pillow(data))


def test_damaged_file_is_judged_by_pillow(tmp_path: Path) -> None:
    whole = _jpeg(frame(1, 0, 60, 80))
    reader = FrameReader(str(tmp_path))
    for cut in (20, len(whole) // 3, len(whole) - 40):
        with pytest.raises(BadVideoError, match=r"a\.jpg cannot be decoded"):
            _read(tmp_path, whole[:cut], reader)
    with pytest.raises(BadVideoError, match=r"cannot be decoded \(it is no image\)"):
        _read(tmp_path, b"", reader)
    np.testing.assert_array_equal(as_array(_read(tmp_path, whole + b"more", reader)), _pillow(whole))


def test_without_simplejpeg_pillow_decodes_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg, "turbo", lambda: None)
    data = _jpeg(frame(1, 0, 30, 40))
    got = _read(tmp_path, data, FrameReader(str(tmp_path)))
    assert isinstance(got, Image.Image)
    np.testing.assert_array_equal(as_array(got), _pillow(data))


def _saved(folder: Path, image: Image.Image, upright: bool = False, **options: object) -> np.ndarray:
    image.save(folder / "a.jpg", **options)
    return as_array(FrameReader(str(folder), upright).read("a.jpg")).copy()


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_of_16_bits_the_upper_8_are_kept(tmp_path: Path, format_: str) -> None:
    values = np.arange(64 * 48, dtype=np.uint16).reshape(48, 64) * 21
    found = _saved(tmp_path, Image.fromarray(values), format=format_)
    np.testing.assert_array_equal(found, np.repeat((values >> 8).astype(np.uint8)[:, :, None], 3, axis=2))


def test_alpha_is_dropped_and_palettes_are_their_colours(tmp_path: Path) -> None:
    colours = np.random.default_rng(3).integers(0, 256, (20, 30, 4), np.uint8)
    np.testing.assert_array_equal(_saved(tmp_path, Image.fromarray(colours), format="PNG"), colours[:, :, :3])
    grey = np.stack([colours[:, :, 0]] * 3, axis=2)
    both = Image.merge("LA", [Image.fromarray(colours[:, :, 0]), Image.fromarray(colours[:, :, 3])])
    np.testing.assert_array_equal(_saved(tmp_path, both, format="PNG"), grey)
    palette = Image.fromarray(colours[:, :, 0]).convert("P")
    np.testing.assert_array_equal(_saved(tmp_path, palette, format="PNG"), grey)


def test_frames_without_colours_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadVideoError, match="floating-point"):
        _saved(tmp_path, Image.fromarray(np.ones((4, 4), np.float32)), format="TIFF")
    with pytest.raises(BadVideoError, match="above 16 bits"):
        _saved(tmp_path, Image.fromarray(np.full((4, 4), 1 << 20, np.int32)), format="TIFF")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_where_the_recipe_turns(tmp_path: Path, orientation: int) -> None:
    rows, columns = np.mgrid[:16, :32]
    stored = np.stack([rows * 16, columns * 8, 0 * rows], axis=2).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"format": "JPEG", "quality": 100, "subsampling": 0, "exif": exif}
    plain = _saved(tmp_path, Image.fromarray(stored), **options)
    # EXIF 2.3, 4.6.4 A: where row 0 and column 0 of what is stored are to be seen.
    shown = {
        1: plain, 2: plain[:, ::-1], 3: plain[::-1, ::-1], 4: plain[::-1],
        5: plain.transpose(1, 0, 2), 6: plain.transpose(1, 0, 2)[:, ::-1],
        7: plain.transpose(1, 0, 2)[::-1, ::-1], 8: plain.transpose(1, 0, 2)[::-1],
    }  # fmt: skip
    np.testing.assert_array_equal(_saved(tmp_path, Image.fromarray(stored), True, **options), shown[orientation])
