"""Result files to float32 arrays: raw bytes (BIN), NumPy files (NPY) and numbers as text (TXT)."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Sequence, Tuple

import numpy as np

from clip2om.pipeline.arrays import NoArrayError, read_npy
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.opening import read_regular

# A number of float32 as text takes up to 16 bytes; nothing has so many scores per file.
_MOST_BYTES = 1 << 32
_TODO = "score with the card and the batches that the model ran on"


@dataclass(frozen=True)
class Shape:
    """What one result file holds: rows (padding included), columns (one per label) and the dtype of BIN files."""

    rows: int
    columns: int
    dtype: str

    @property
    def nbytes(self) -> int:
        """Size of a BIN file."""
        return self.rows * self.columns * np.dtype(self.dtype).itemsize

    def __str__(self) -> str:
        return f"{self.rows} rows x {self.columns} labels, {self.dtype}"


def decide(paths: Sequence[Path], rows: int, columns: int, dtype: Optional[str]) -> Shape:
    """Settle the dtype of the BIN files: as told, else float32, or float16 where every file has half the bytes.

    Raises:
        RequestError: a file of another size (with the bytes found and expected), or as many columns as no label list.
    """
    sizes = {path: path.stat().st_size for path in paths if path.suffix.lower() == ".bin"}
    shape = Shape(rows, columns, dtype or "float32")
    different = set(sizes.values())
    if dtype is None and different == {shape.nbytes // 2}:
        return Shape(rows, columns, "float16")
    if len(different) == 1 and different != {shape.nbytes}:
        _check_columns(different.pop(), shape, next(iter(sizes)))
    for path, size in sizes.items():
        if size != shape.nbytes:
            raise RequestError(f"holds {size} bytes, expected {shape.nbytes} ({shape})", path, _TODO)
    return shape


def read_result(path: Path, shape: Shape) -> Tuple[np.ndarray, str]:
    """Return the array, float32 (rows, columns), and the SHA-256 of the file.

    Raises:
        RequestError: another size, or contents that are not what the ending says.
    """
    data = read_regular(path, _MOST_BYTES)
    ending = path.suffix.lower()
    if ending == ".npy":
        array = _from_npy(data, path, shape)
    elif ending == ".txt":
        array = _from_text(data, path)
    else:
        if len(data) != shape.nbytes:
            raise RequestError(f"holds {len(data)} bytes, expected {shape.nbytes} ({shape})", path, _TODO)
        array = np.frombuffer(data, shape.dtype)
    if array.size != shape.rows * shape.columns:
        raise RequestError(
            f"holds {array.size} numbers, expected {shape.rows * shape.columns} "
            f"({shape.rows} rows x {shape.columns} labels)",
            path,
            _TODO,
        )
    return array.reshape(shape.rows, shape.columns).astype(np.float32, copy=False), hashlib.sha256(data).hexdigest()


def check_labels(columns: int, labels: int, where: object) -> None:
    """Refuse a label list that does not cover the model's outputs.

    Raises:
        RequestError: with both counts.
    """
    if columns != labels:
        raise RequestError(f"the model has {columns} outputs per clip, but there are {labels} labels", where, _TODO)


def digest_check(digest: str, recorded: Dict[str, str], path: Path) -> None:
    """Refuse a file that changed since the runner recorded its digest."""
    if recorded.get(path.name, digest) != digest:
        raise RequestError("its SHA-256 is not the one in summary.json", path, "run python -m infer again")


def _check_columns(size: int, shape: Shape, path: Path) -> None:
    """Tell a model with other classes from a damaged file: all files have the same whole number of columns."""
    columns, rest = divmod(size, shape.rows * np.dtype(shape.dtype).itemsize)
    if columns and not rest:
        check_labels(columns, shape.columns, f"{path} ({size} bytes, expected {shape.nbytes}: {shape})")


def _from_npy(data: bytes, path: Path, shape: Shape) -> np.ndarray:
    if not data.startswith(np.lib.format.MAGIC_PREFIX):
        raise RequestError("is not a NumPy file (other first bytes)", path)
    try:
        array = read_npy(io.BytesIO(data), len(data))
    except NoArrayError as error:
        raise RequestError(f"is not a NumPy file ({error})", path) from None
    if array.dtype.kind not in "fiu":
        raise RequestError("holds no array of numbers", path)
    if array.size and shape.rows in np.cumprod(array.shape[:-1]):
        check_labels(array.size // shape.rows, shape.columns, path)
    return array


def _from_text(data: bytes, path: Path) -> np.ndarray:
    try:
        return np.array(list(map(float, data.decode("ascii").split())), np.float64)
    except ValueError as error:
        raise RequestError(f"is not blank-separated numbers ({error})", path) from None
