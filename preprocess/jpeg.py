"""Frame files into pixels: by libjpeg-turbo itself where simplejpeg is installed, by Pillow for everything else."""

from __future__ import annotations

import functools
import importlib
import io
import os
import warnings
from typing import Any, Optional

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from clip2om.pipeline.opening import odd_kind
from clip2om.preprocess.errors import MOST_PIXELS, BadVideoError, is_of_the_run, words
from clip2om.preprocess.frames import Frame, to_rgb

# What frames are kept in. Others are not even looked at: Pillow would start Ghostscript for an EPS file.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM")
_MOST_BYTES = 1 << 28
# Pillow would only warn, on the terminal, up to twice its limit.
Image.MAX_IMAGE_PIXELS = MOST_PIXELS
# What it finds odd in a file is no concern of the person at the terminal: the file is used, or its reason is told.
warnings.filterwarnings("ignore", module=r"PIL\.")
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
# The kernels may read past the last pixel by less than this.
_SLACK = 64
# Stands in the first segments of a JPEG file.
_EXIF, _EXIF_WITHIN = b"Exif\0\0", 1 << 12
# Most frames are read at once.
_USUAL = 1 << 16


class FrameReader:
    """Decodes the frames of one folder; an array that it returns is valid until the next call."""

    def __init__(self, folder: str, upright: bool = False) -> None:
        self._prefix = os.path.join(folder, "")
        self._upright = upright
        self._turbo = turbo()
        self._buffer = np.empty(0, np.uint8)

    def read(self, name: str) -> Frame:
        """Decode one file.

        Raises:
            BadVideoError: it is missing, cut off or no image.
        """
        try:
            data = _content(self._prefix + name)
        except OSError as error:
            if is_of_the_run(error):
                raise
            raise BadVideoError(f"frame {name} cannot be read ({words(error)})") from None
        pixels = self._plain(data)
        return open_picture(data, name, self._upright) if pixels is None else pixels

    def _plain(self, data: bytes) -> Optional[np.ndarray]:
        """Decode the usual kind of JPEG; None for other images and for damaged ones, which Pillow judges."""
        if self._turbo is None or (self._upright and _EXIF in data[:_EXIF_WITHIN]):
            return None
        try:
            height, width, color, _ = self._turbo.decode_jpeg_header(data)
            if color != "YCbCr" or width * height > MOST_PIXELS:
                return None
            if len(self._buffer) < 3 * width * height + _SLACK:
                self._buffer = np.empty(3 * width * height + _SLACK, np.uint8)
            return self._turbo.decode_jpeg(data, buffer=self._buffer)
        except (ValueError, RuntimeError):
            return None


def _content(path: str) -> bytes:
    """Return the bytes of a file, without the calls that a file object makes besides.

    Raises:
        BadVideoError: it is no file, or has more bytes than a frame can have.
    """
    # A named pipe would be waited for.
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        about = os.fstat(handle)
        kind = odd_kind(about.st_mode)
        if kind or about.st_size > _MOST_BYTES:
            what = f"is {kind}, expected a file" if kind else f"has {about.st_size} bytes, more than {_MOST_BYTES}"
            raise BadVideoError(f"frame {os.path.basename(path)} {what}")
        data = block = os.read(handle, _USUAL)
        while block:
            block = os.read(handle, _USUAL)
            data += block
        return data
    finally:
        os.close(handle)


def open_picture(data: bytes, name: str, upright: bool = False) -> Image.Image:
    """Decode a picture with Pillow: the one place where pictures are opened; whatever a library raises is the file's.

    Args:
        data: The file's bytes.
        name: What to call it in the reason.
        upright: Turn it as its EXIF data says.

    Returns:
        An image of mode RGB, by the rules of :func:`preprocess.frames.to_rgb`.

    Raises:
        BadVideoError: it is cut off, no image, or holds no colours.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise BadVideoError(f"frame {name} is {image.width}x{image.height}, more than {MOST_PIXELS} pixels")
            image.load()
            return to_rgb(ImageOps.exif_transpose(image) if upright else image)
    except BadVideoError:
        raise
    except Exception as error:
        if is_of_the_run(error):
            raise
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
