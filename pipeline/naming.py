"""Names that come from a dataset and become names of files."""

from __future__ import annotations


def is_plain_name(name: str) -> bool:
    """True for a name that stays in its folder and on its line.

    That is not empty, not ``.`` or ``..``, without separators and control characters, and can be written as UTF-8.
    """
    if not name or name in (".", "..") or any(sign in name for sign in "/\\"):
        return False
    return not any(ord(sign) < 32 or ord(sign) == 127 or 0xD800 <= ord(sign) < 0xE000 for sign in name)
