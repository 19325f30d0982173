"""The error that concerns one video, not the run, and which of a library's errors are which."""

from __future__ import annotations

import errno
from typing import Optional

# What the world is like at this moment, and not what a file holds: these end a run, and the next one tries again.
_OF_THE_RUN = {
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE),
    *(errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENODEV, errno.EROFS),
    *(errno.ETIMEDOUT, errno.ENOTCONN, errno.ECONNRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN),
    *(errno.EREMOTEIO, errno.EINTR, errno.EAGAIN, errno.EBUSY, errno.ENOLCK, errno.EKEYEXPIRED, errno.ENOKEY),
}
# Of a frame: twice what 8K has. It is refused before it is decoded.
MOST_PIXELS = 1 << 26
_BLOCK = 1 << 20
# Had at once, as proof that memory is not what lacks.
_MUCH = 1 << 28


class BadVideoError(Exception):
    """One video cannot be used; the message is the reason that goes into the manifest."""


def is_of_the_run(error: BaseException) -> bool:
    """True for an error that does not concern what is in the file at which it was met."""
    return isinstance(error, MemoryError) or getattr(error, "errno", None) in _OF_THE_RUN


def trouble_of_the_world(error: BaseException, path: str) -> Optional[BaseException]:
    """Return what hindered a library in reading a file, None where the content of the file is to blame.

    FFmpeg says "input/output error", "no such file" and "cannot allocate memory" of damaged files too. So the file is
    read once more, by nobody but the system.
    """
    if not is_of_the_run(error):
        return None
    number = getattr(error, "errno", None)
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        try:
            bytearray(_MUCH)
        except MemoryError as lacking:
            return lacking
        return None
    try:
        with open(path, "rb", buffering=0) as stream:
            while stream.read(_BLOCK):
                pass
    except OSError as found:
        return found
    if number in (errno.EMFILE, errno.ENFILE):
        # Others may have given theirs back meanwhile.
        return OSError(number, words(error), path)
    return None


def words(error: BaseException) -> str:
    """Return what an exception says, in a few words."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__).lower()
