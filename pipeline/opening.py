"""Files opened for reading as what they should be: regular ones, of a sane size.

A named pipe, a device or a socket under the name of a file would make its reader wait for ever, or never end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import BinaryIO, Iterator, Union

from clip2om.pipeline.errors import RequestError

PathLike = Union[str, "os.PathLike[str]"]
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def odd_kind(mode: int) -> str:
    """Return what the mode of a file says that it is, empty for a regular file."""
    return next((words for holds, words in _KINDS if holds(mode)), "")


@contextlib.contextmanager
def open_regular(path: PathLike) -> Iterator[BinaryIO]:
    """Open a regular file for reading without buffering, and nothing else: what waits for a writer is not waited for.

    Raises:
        RequestError: it is another kind of thing.
        OSError: it cannot be opened.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise refusal(path, "a socket") from None
        raise
    with open(handle, "rb", buffering=0) as stream:
        kind = odd_kind(os.fstat(handle).st_mode)
        if kind:
            raise refusal(path, kind)
        yield stream


def read_regular(path: PathLike, most: int, todo: str = "") -> bytes:
    """Return the bytes of a regular file.

    Raises:
        RequestError: it is another kind of thing, or has more than ``most`` bytes.
        OSError: it cannot be read.
    """
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > most:
            raise RequestError(f"has {size} bytes, more than the {most} that such a file may have", path, todo or None)
        # Files of /proc and /sys say that they are empty.
        blocks, left = [], most
        for block in iter(lambda: stream.read(1 << 20), b""):
            blocks.append(block)
            left -= len(block)
            if left < 0:
                raise RequestError(f"has more than the {most} bytes that such a file may have", path, todo or None)
        return b"".join(blocks)


def refusal(path: PathLike, kind: str) -> RequestError:
    """Return what to tell of a thing that is no file."""
    return RequestError(f"is {kind}, expected a file", path, "name the file itself")
