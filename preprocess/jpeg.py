"""Frame files into pixels: by libjpeg-turbo itself where simplejpeg is installed, by Pillow for everything else."""

from __future__ import annotations

import functools
import importlib
import io
import os
from typing import Any, Optional

import numpy as np
from PIL import Image, UnidentifiedImageError

from clip2om.preprocess.errors import BadVideoError
from clip2om.preprocess.frames import Frame

# The kernels may read past the last pixel by less than this.
_SLACK = 64
# Most frames are read at once.
_USUAL = 1 << 16


class FrameReader:
    """Decodes the frames of one folder; an array that it returns is valid until the next call."""

    def __init__(self, folder: str) -> None:
        self._prefix = os.path.join(folder, "")
        self._turbo = turbo()
        self._buffer = np.empty(0, np.uint8)

    def read(self, name: str) -> Frame:
        """Decode one file.

        Raises:
            BadVideoError: it is missing, cut off or no image.
        """
        try:
            data = _content(self._prefix + name)
        except FileNotFoundError:
            raise BadVideoError(f"frame {name} is missing") from None
        pixels = self._plain(data)
        return _with_pillow(data, name) if pixels is None else pixels

    def _plain(self, data: bytes) -> Optional[np.ndarray]:
        """Decode the usual kind of JPEG; None for other images and for damaged ones, which Pillow judges."""
        if self._turbo is None:
            return None
        try:
            height, width, color, _ = self._turbo.decode_jpeg_header(data)
            if color != "YCbCr" or width * height > (Image.MAX_IMAGE_PIXELS or 0):
                return None
            if len(self._buffer) < 3 * width * height + _SLACK:
                self._buffer = np.empty(3 * width * height + _SLACK, np.uint8)
            return self._turbo.decode_jpeg(data, buffer=self._buffer)
        except ValueError:
            return None


def _content(path: str) -> bytes:
    """Return the bytes of a file, without the calls that a file object makes besides."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = block = os.read(handle, _USUAL)
        while block:
            block = os.read(handle, _USUAL)
            data += block
        return data
    finally:
        os.close(handle)


def _with_pillow(data: bytes, name: str) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return image
    except (OSError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise BadVideoError(f"frame {name} cannot be decoded ({_words(error)})") from None


def _words(error: Exception) -> str:
    return "it is no image" if isinstance(error, UnidentifiedImageError) else str(error)


@functools.lru_cache(maxsize=1)
def turbo() -> Any:
    """Return the module simplejpeg, if it is installed and decodes as the libjpeg-turbo of Pillow does."""
    try:
        simplejpeg = importlib.import_module("simplejpeg")
    except ImportError:
        return None
    rows, columns, channels = np.ogrid[:43, :59, :3]
    probe = Image.fromarray(((rows * 5 + columns * 9 + channels * 59 + rows * columns) % 256).astype(np.uint8))
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        stream = io.BytesIO()
        probe.save(stream, "JPEG", quality=70, subsampling=subsampling)
        if not np.array_equal(simplejpeg.decode_jpeg(stream.getvalue()), np.asarray(Image.open(stream))):
            return None
    return simplejpeg
