"""Names of frame files: a Python format such as ``image_{:05d}.jpg`` and the number of the first frame."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from typing import Iterable, List, Optional, Set

from clip2om.pipeline.naming import is_plain_name

_FIELD = re.compile(r"[^{}]*\{(?::0?\d{0,2}d)?\}[^{}]*")


@dataclass(frozen=True)
class FrameNames:
    """How the frames of a video are called.

    Attributes:
        format: With one field for the number: ``image_{:05d}.jpg``, ``0000{}.jpg``.
        first: Number of the first frame.
    """

    format: str = "image_{:05d}.jpg"
    first: int = 1

    def name(self, index: int) -> str:
        """Return the name of frame ``index``, counted from 0."""
        return self.format.format(self.first + index)

    def number(self, name: str) -> Optional[int]:
        """Return the number in the name of a frame, None for a file of another name."""
        before, _, after = re.split(r"(\{[^}]*\})", self.format)
        if not (name.startswith(before) and name.endswith(after) and len(name) > len(before) + len(after)):
            return None
        digits = name[len(before) : len(name) - len(after)]
        matches = digits.isascii() and digits.isdigit() and self.format.format(int(digits)) == name
        return int(digits) if matches else None

    def numbers(self, names: Iterable[str]) -> Set[int]:
        """Return the numbers of the frames among ``names``."""
        found: List[Optional[int]] = [self.number(name) for name in names]
        return {number for number in found if number is not None}


def is_frame_format(text: str) -> bool:
    """True for a file name with one field for the number."""
    return _FIELD.fullmatch(text) is not None and is_plain_name(text)


def frame_format(text: str) -> str:
    """Argparse type: name of a frame file, with one field for the number."""
    if not is_frame_format(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a name such as image_{{:05d}}.jpg or 0000{{}}.jpg")
    return text


def jpeg_format(text: str) -> str:
    """Argparse type: the same of a JPEG file."""
    if not is_frame_format(text) or not text.lower().endswith((".jpg", ".jpeg")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a name such as image_{{:05d}}.jpg or 0000{{}}.jpg")
    return text
