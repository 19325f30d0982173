"""Text files that people wrote: in UTF-8, in what editors on Windows save, or in the code page of an older system."""

from __future__ import annotations

import codecs
import os
import unicodedata
from typing import List, Union

from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.opening import read_regular

PathLike = Union[str, "os.PathLike[str]"]
# The annotation of 650,000 videos of Kinetics has a fifth of this.
MOST_BYTES = 1 << 29
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# In what Chinese Windows writes, every sign beyond ASCII is one of these; in Western text taken for it few are.
_CHINESE = ("CJK UNIFIED", "CJK SYMBOL", "IDEOGRAPHIC", "FULLWIDTH", "LEFT", "RIGHT", "MIDDLE DOT", "EM DASH")


def decoded(data: bytes) -> str:
    """Return the text in the bytes of a file.

    A mark at the beginning decides; without one it is UTF-8 where the bytes are, then UTF-16 where every second byte is
    zero, GB 18030 where that gives Chinese alone, else Windows-1252.

    Raises:
        UnicodeError: the bytes are of what their mark says only in part.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return data.decode(name)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return text if "\0" not in text else data.decode(_by_zeros(data))
    if b"\0" in data:
        return data.decode(_by_zeros(data))
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        text = ""
    if text and all(_is_chinese(sign) for sign in text if ord(sign) > 127):
        return text
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_text(path: PathLike, todo: str, most: int = MOST_BYTES) -> str:
    """Return the text of a file that a person wrote, of at most ``most`` bytes.

    Raises:
        RequestError: there is none, it cannot be read, or is no text.
    """
    try:
        return decoded(read_regular(path, most, todo))
    except FileNotFoundError:
        raise RequestError("no such file", path, todo) from None
    except UnicodeError:
        raise RequestError("is no text in UTF-8 or UTF-16", path, f"save it as UTF-8; {todo}") from None
    except OSError as error:
        raise RequestError(f"cannot be read ({(error.strerror or str(error)).lower()})", path, todo) from None


def read_lines(path: PathLike, todo: str) -> List[str]:
    """Return the lines of such a file, whatever ends them.

    Raises:
        RequestError: as :func:`read_text`.
    """
    return read_text(path, todo).replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _by_zeros(data: bytes) -> str:
    """Return which UTF-16 it is where signs of ASCII leave every second byte zero.

    Raises:
        UnicodeError: zeros stand elsewhere: this is no text.
    """
    even, odd = data[::2].count(0), data[1::2].count(0)
    if len(data) % 2 or min(even, odd):
        raise UnicodeError("zero bytes in a text")
    return "utf-16-le" if odd else "utf-16-be"


def _is_chinese(sign: str) -> bool:
    return unicodedata.name(sign, "").startswith(_CHINESE)
