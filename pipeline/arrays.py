"""NumPy's files, read with their claims checked first: what a header says against what the file holds."""

from __future__ import annotations

import errno
import math
import os
import warnings
import zipfile
from pathlib import Path
from typing import BinaryIO, Collection, Dict, Optional

import numpy as np

from clip2om.pipeline.errors import last_line
from clip2om.pipeline.opening import open_regular

# An archive may claim so many times its own size, once it claims more than this: weights hardly shrink.
_RATIO, _SMALL = 100, 1 << 26
_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class NoArrayError(Exception):
    """The bytes are no array of numbers; the message is the reason."""


def read_npy(stream: BinaryIO, size: int) -> np.ndarray:
    """Return the array in the ``size`` bytes of a stream, which stands at their beginning and can go back there.

    Raises:
        NoArrayError: other bytes, Python objects, or a header that claims more or less than there is.
    """
    try:
        reader = _READERS.get(np.lib.format.read_magic(stream))
        if reader is None:
            raise NoArrayError("of an unknown version")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a header as Python 2 wrote it
            shape, _, dtype = reader(stream)
        if dtype.hasobject:
            raise NoArrayError("it holds Python objects, which are not read")
        claimed = math.prod(shape) * dtype.itemsize
        if claimed != size - stream.tell() or min(shape, default=0) < 0:
            raise NoArrayError(f"its header claims {claimed} bytes, {size - stream.tell()} follow")
        stream.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.lib.format.read_array(stream, allow_pickle=False)
    except (NoArrayError, MemoryError):
        raise
    except Exception as error:  # a damaged header makes the parser of Python's literals raise anything
        raise NoArrayError(last_line(error)) from None


def load_npy(path: Path) -> np.ndarray:
    """Return the array of a .npy file.

    Raises:
        NoArrayError: as :func:`read_npy`.
        RequestError: it is no regular file.
        OSError: it cannot be read.
    """
    with open_regular(path) as stream:
        return read_npy(stream, os.fstat(stream.fileno()).st_size)


def load_npz(
    path: Path, names: Optional[Collection[str]] = None, optional: Collection[str] = ()
) -> Dict[str, np.ndarray]:
    """Return the arrays of a .npz file by name, in its order; with ``names`` those alone, each of which must be there.

    ``optional`` ones need not be there.

    Raises:
        NoArrayError: it is none, is damaged, holds a name twice, or would unpack to an insane size.
        RequestError: it is no regular file.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            with zipfile.ZipFile(file) as archive:
                members = _members(archive, size)
                missing = [name for name in names or () if name not in members]
                if missing:
                    raise NoArrayError(f"it holds no {missing[0]}")
                chosen = [*names, *(name for name in optional if name in members)] if names else members
                return {name: _member(archive, members[name]) for name in chosen}
        except (NoArrayError, MemoryError):
            raise
        except OSError as error:
            if error.errno not in (None, errno.EINVAL):  # a directory that points before the beginning
                raise
            raise NoArrayError(last_line(error)) from None
        except Exception as error:  # zlib, lzma and zipfile have errors of their own
            raise NoArrayError(last_line(error)) from None


def _members(archive: zipfile.ZipFile, size: int) -> Dict[str, zipfile.ZipInfo]:
    entries = archive.infolist()
    claimed = sum(entry.file_size for entry in entries)
    if claimed > max(_SMALL, _RATIO * size):
        raise NoArrayError(f"its {size} bytes would unpack to {claimed}")
    found = {entry.filename[: -len(".npy")]: entry for entry in entries if entry.filename.endswith(".npy")}
    if len(found) < len(entries):
        raise NoArrayError("it holds something other than arrays, or a name twice")
    return found


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    # Never more than the directory states, whatever the compressed data would give.
    with archive.open(entry) as stream:
        array = read_npy(stream, entry.file_size)  # type: ignore[arg-type]
        if stream.read(1):
            raise NoArrayError("a member is longer than the directory says")
        return array
