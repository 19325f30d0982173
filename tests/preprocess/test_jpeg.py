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
