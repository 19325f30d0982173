"""Names that come from a dataset: of files, in the spellings that file systems and editors give, and of subsets."""

from __future__ import annotations

import os
import unicodedata

# Of several files that differ in these alone the first kind is taken.
VIDEO_SUFFIXES = (
    *(".avi", ".mp4", ".mkv", ".webm", ".mov", ".mpg", ".m4v", ".wmv", ".flv", ".3gp", ".mpeg", ".ts", ".ogv", ".m2ts"),
    *(".mts", ".asf", ".vob", ".f4v", ".3g2", ".divx", ".xvid", ".mp4v", ".mpe", ".m1v", ".m2v", ".qt", ".ogg", ".ogm"),
    *(".rm", ".rmvb", ".mxf", ".dv", ".mj2", ".wtv", ".ivf", ".nut", ".y4m", ".gif"),
)
_SUBSETS = {
    "train": "training",
    "val": "validation",
    "valid": "validation",
    "validate": "validation",
    "test": "testing",
}


def is_plain_name(name: str) -> bool:
    """True for a name that stays in its folder and on its line.

    That is not empty, not ``.`` or ``..``, without separators and control characters, and can be written as UTF-8.
    """
    if not name or name in (".", "..") or any(sign in name for sign in "/\\"):
        return False
    return not any(ord(sign) < 32 or ord(sign) == 127 or 0xD800 <= ord(sign) < 0xE000 for sign in name)


def stays_inside(root: str, inside: str) -> bool:
    """True where ``inside``, seen from the folder ``root``, is the name of something below it.

    What a link below it leads to is its owner's business.
    """
    top = os.path.normpath(os.path.abspath(root))
    place = os.path.normpath(os.path.join(top, inside))
    return "\0" not in inside and place.startswith(os.path.join(top, ""))


def is_video(name: str) -> bool:
    """True for the name of a video file."""
    return name.lower().endswith(VIDEO_SUFFIXES)


def without_suffix(name: str) -> str:
    """Return the name of a video without the suffix of a video file; other dots belong to the name."""
    return os.path.splitext(name)[0] if is_video(name) else name


def full_subset(name: str) -> str:
    """Return the name that a subset has in full: train, val, valid and test are short, capitals do not matter."""
    lower = name.lower()
    found = _SUBSETS.get(lower, lower)
    return found if found in _SUBSETS.values() else name


def same_letters(name: str) -> str:
    """Return the composed form (NFC) of a name: a Mac writes accents apart from their letters (NFD)."""
    return unicodedata.normalize("NFC", name)


def written(name: str) -> str:
    """Return a name of the file system as text that can be written: bytes that are no UTF-8 as ``%E9``."""
    raw = os.fsencode(name)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(chr(byte) if 32 <= byte < 127 else f"%{byte:02X}" for byte in raw)
