"""The error that concerns one video, not the run, and which of a library's errors are which."""

from __future__ import annotations

import errno

# No other file could be read either: these end a run, and the next one begins where it ended.
_OF_THE_RUN = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT}


class BadVideoError(Exception):
    """One video cannot be used; the message is the reason that goes into the manifest."""


def is_of_the_run(error: BaseException) -> bool:
    """True for an error that does not concern the file at which it was met."""
    return isinstance(error, MemoryError) or getattr(error, "errno", None) in _OF_THE_RUN


def words(error: Exception) -> str:
    """Return what an exception says, in a few words."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__).lower()
