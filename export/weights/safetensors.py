"""The safetensors format: eight bytes of length, JSON, then the values; there is nothing in it that could be run.

https://huggingface.co/docs/safetensors, "Format".
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Dict

import numpy as np

from clip2om.export.weights.stored import DTYPES, Stored
from clip2om.pipeline.artifact import parse_json
from clip2om.pipeline.errors import RequestError

_NAMES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
_LONGEST = 100_000_000


def is_safetensors(path: Path) -> bool:
    """Tell whether a file begins as one of these does."""
    with open(path, "rb") as stream:
        head = stream.read(9)
    return len(head) == 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _LONGEST


def read(path: Path) -> Dict[str, Stored]:
    """Return the tensors of a file by name.

    Raises:
        RequestError: it is cut short or damaged.
    """
    size = path.stat().st_size
    with open(path, "rb") as stream:
        start = 8 + int.from_bytes(stream.read(8), "little")
        if start > size:
            raise RequestError(f"is cut short at {size} bytes", path, "copy it again")
        try:
            header = parse_json(stream.read(start - 8).decode("utf-8"), path, "copy it again")
            entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
            return {name: _tensor(path, start, size, entry) for name, entry in entries.items()}
        except _CutError:
            raise RequestError(f"is cut short at {size} bytes", path, "copy it again") from None
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            raise RequestError("is a damaged safetensors file", path, "copy it again") from None


class _CutError(Exception):
    """There are fewer bytes than the header says."""


def _tensor(path: Path, start: int, size: int, entry: Dict[str, Any]) -> Stored:
    kind, shape = str(entry["dtype"]), tuple(int(extent) for extent in entry["shape"])
    begin, end = (int(offset) for offset in entry["data_offsets"])
    if start + end > size:
        raise _CutError
    if kind not in _NAMES:
        return Stored(kind, shape, problem=f"is of dtype {kind}", remedy="save it as float32")
    name = _NAMES[kind]
    dtype = np.dtype(DTYPES[name]).newbyteorder("<")
    if min(begin, *shape, 0) < 0 or end - begin != dtype.itemsize * math.prod(shape):
        raise ValueError("extents")

    def values() -> np.ndarray:
        if begin == end:
            return np.zeros(shape, dtype)
        return np.memmap(path, np.uint8, "r", start + begin, (end - begin,)).view(dtype).reshape(shape)

    return Stored(name, shape, values)
