"""What the opcodes of a pickle ask for, looked at before they are obeyed: memory is not given on their word.

The unpickler of CPython sizes its memo by the largest number that a file names (nine bytes ask for 16 GiB), and takes
memory for a text before it knows that the text is there.
"""

from __future__ import annotations

import io
import mmap
import pickle
import pickletools
import warnings
from typing import BinaryIO

_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")


def check(stream: BinaryIO) -> None:
    """Walk the opcodes of one pickle, and go back to where it begins.

    Args:
        stream: A file or bytes, standing at the beginning of a pickle; what follows it is not looked at.

    Raises:
        pickle.UnpicklingError: it numbers its memo otherwise than picklers do.
        ValueError: it is none.
        EOFError: it is cut short.
    """
    start = stream.tell()
    data = _bounded(stream)
    end = data.seek(0, io.SEEK_END) if isinstance(data, io.BytesIO) else data.size()  # type: ignore[union-attr]
    data.seek(start)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in texts
            _walk(data, end)
    except ValueError:
        if data.tell() < end:
            raise
        raise EOFError from None
    finally:
        if data is not stream:
            data.close()
        stream.seek(start)


def _walk(data: "BinaryIO | mmap.mmap", end: int) -> None:
    for number, (opcode, value, _) in enumerate(pickletools.genops(data)):  # type: ignore[arg-type]
        if opcode.name == "FRAME" and not 0 <= value <= end - data.tell():  # type: ignore[operator]
            raise pickle.UnpicklingError("a pickle truncated in a frame")
        # A pickler counts from 0 and stores each object after it has written it.
        if opcode.name in _PUTS and not 0 <= value <= number + 1:  # type: ignore[operator]
            raise pickle.UnpicklingError("a pickle with a memo beyond measure")


def _bounded(stream: BinaryIO) -> "BinaryIO | mmap.mmap":
    """Return what gives no more bytes than there are, whatever it is asked for."""
    if isinstance(stream, io.BytesIO):
        return stream
    return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
