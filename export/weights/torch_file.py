"""What ``torch.save`` writes, and ``pickle.dump`` of tensors: zip archives and the files of before PyTorch 1.6."""

from __future__ import annotations

import io
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, Dict, List, Optional, Tuple

import numpy as np

from clip2om.export.weights.inert import RefusedError, Safe, Unpickler
from clip2om.export.weights.rebuild import WEIGHTS, StorageType
from clip2om.export.weights.stored import DTYPES, DamagedError, Storage
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.file_kinds import is_archive, kind_of

_MAGIC = 0x1950A86A20F9469CFC6C
_PICKLE = "data.pkl"
RESAVE = "if you trust the file, save its weights alone: torch.save(model.state_dict(), FILE)"
# Of a pickle of objects; weights lie outside of it.
_MOST = 1 << 30
# An archive may claim so many times its own size, once it claims more than this.
_RATIO, _SMALL = 100, 1 << 26


def read(path: Path) -> Any:
    """Return what a file of PyTorch holds: containers, :class:`~export.weights.stored.Stored` and stand-ins.

    Raises:
        RequestError: another kind of file, a damaged one, or one that runs something.
    """
    try:
        return _read(path)
    except RefusedError as error:
        raise RequestError(f"refused: to load it is to run {error}, which is no weight", path, RESAVE) from None
    except (MemoryError, RequestError):
        raise
    except Exception as error:  # a malformed pickle can raise anything
        raise _explain(path, error) from None


def _read(path: Path) -> Any:
    with open(path, "rb") as stream:
        if stream.read(2) == b"PK" and is_archive(path):
            return _Archive(path).read()
        stream.seek(0)
        return _read_old(stream, lambda offset, size: np.memmap(path, np.uint8, "r", offset, (size,)))


class _Archive:
    """A zip archive with one pickle and one file for each storage."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._zip = zipfile.ZipFile(path)
        claimed = sum(info.file_size for info in self._zip.infolist())
        if claimed > max(_SMALL, _RATIO * path.stat().st_size):
            raise RequestError(f"would unpack to {claimed} bytes, an insane size", path, RESAVE)
        names = [name for name in self._zip.namelist() if name == _PICKLE or name.endswith(f"/{_PICKLE}")]
        kind = kind_of(path)
        if kind is not None or len(names) != 1:
            words, todo = (kind.words, kind.todo) if kind else ("is a zip archive without weights", RESAVE)
            raise RequestError(f"is not a PyTorch checkpoint: it {words}", path, todo)
        self._root = names[0][: -len(_PICKLE)]
        order = f"{self._root}byteorder"
        self._swapped = order in self._zip.namelist() and self._zip.read(order).decode("latin1") != sys.byteorder
        self._storages: Dict[str, Storage] = {}

    def read(self) -> Any:
        """Return what the pickle holds."""
        info = self._zip.getinfo(self._root + _PICKLE)
        if info.file_size > _MOST:
            raise DamagedError("a pickle beyond measure")
        with self._zip.open(info) as stream:
            return Unpickler(io.BytesIO(stream.read(_MOST)), WEIGHTS, self._storage).load()

    def _storage(self, identifier: Any) -> Storage:
        _, kind, key = identifier[:3]
        if not isinstance(kind, StorageType) or not isinstance(key, str):
            raise DamagedError("a storage of no type")
        name = f"{self._root}data/{key}"
        info = self._zip.getinfo(name)
        known = self._storages.get(key)
        if known is None or known.dtype != kind.dtype:
            known = self._storages[key] = Storage(kind.dtype, lambda: self._load(info), self._swapped)
        return known

    def _load(self, info: zipfile.ZipInfo) -> np.ndarray:
        if info.compress_type != zipfile.ZIP_STORED:
            return np.frombuffer(self._zip.read(info), np.uint8)
        if not info.file_size:
            return np.zeros(0, np.uint8)
        with open(self._path, "rb") as stream:
            stream.seek(info.header_offset + 26)
            lengths = np.frombuffer(stream.read(4), "<u2")
            start = info.header_offset + 30 + int(lengths.sum())
            if start + info.file_size > self._path.stat().st_size:
                raise DamagedError("an archive that is cut short")
        return np.memmap(self._path, np.uint8, "r", start, (info.file_size,))


def _read_old(stream: BinaryIO, window: Any) -> Any:
    """Read pickles one after the other, then the storages; or one pickle alone.

    Args:
        stream: The file.
        window: Gives bytes of it, uint8, by offset and size.
    """
    roots: Dict[str, Tuple[Storage, List[Optional[np.ndarray]]]] = {}
    weights = {("torch.storage", "_load_from_bytes"): Safe(_nested)}

    def storage(identifier: Any) -> Any:
        if identifier[0] == "module":
            return identifier[1]
        _, kind, key = identifier[:3]
        part = identifier[5] if len(identifier) > 5 else None
        if not isinstance(kind, StorageType):
            raise DamagedError("a storage of no type")
        known = roots.get(key)
        if known is None:
            held: List[Optional[np.ndarray]] = [None]
            known = roots[key] = (Storage(kind.dtype, lambda: _filled(held)), held)
        return known[0] if part is None else _part(known[0], part)

    def load() -> Any:
        return Unpickler(stream, _Joined(weights), storage).load()

    first = load()
    if first != _MAGIC:
        return first
    load()
    load()
    content = load()
    for key in load():
        root, held = roots[key]
        count = int(np.frombuffer(stream.read(8), "<i8")[0])
        size = count * np.dtype(DTYPES[root.dtype or "uint8"]).itemsize
        start = stream.tell()
        if count < 0 or stream.seek(0, 2) < start + size:
            raise DamagedError("truncated: fewer numbers than it says")
        held[0] = window(start, size) if size else np.zeros(0, np.uint8)
        stream.seek(start + size)
    return content


class _Joined(dict):
    """Globals of weights, and what reads storages within a pickle."""

    def get(self, key: Any, default: Any = None) -> Any:
        """Return what stands for a global."""
        found = super().get(key)
        return WEIGHTS.get(key, default) if found is None else found


def _filled(held: List[Optional[np.ndarray]]) -> np.ndarray:
    if held[0] is None:
        raise DamagedError("truncated: a storage is missing")
    return held[0]


def _part(root: Storage, part: Any) -> Storage:
    _, offset, size = part
    width = np.dtype(DTYPES[root.dtype or "uint8"]).itemsize
    return Storage(root.dtype, lambda: root.load()[offset * width : (offset + size) * width])


def _nested(data: Any) -> Any:
    """Stand in for ``torch.storage._load_from_bytes``: a file of before PyTorch 1.6 within a pickle."""
    if not isinstance(data, bytes):
        raise DamagedError("a storage without bytes")
    return _read_old(io.BytesIO(data), lambda offset, size: np.frombuffer(data, np.uint8, size, offset))


def _explain(path: Path, error: Exception) -> RequestError:
    kind = kind_of(path)
    if kind is not None:
        return RequestError(f"is not a PyTorch checkpoint: it {kind.words}", path, kind.todo)
    with open(path, "rb") as stream:
        head = stream.read(2)
    cut = isinstance(error, EOFError) or "truncated" in str(error) or "cut short" in str(error)
    # Pickles of protocol 2 and later begin with the byte 0x80 and the protocol's number.
    if not head or head == b"PK" or (cut and head[:1] == b"\x80"):
        return RequestError(f"is cut short at {path.stat().st_size} bytes", path, "copy it again")
    damaged = isinstance(error, (DamagedError, pickle.UnpicklingError)) and head[:1] == b"\x80"
    words = f" ({error})" if damaged and isinstance(error, DamagedError) else ""
    return RequestError(f"is not a PyTorch checkpoint, or a damaged one{words}", path, "check --checkpoint")
