"""What a MindSpore checkpoint says of itself, compared with what it holds, before MindSpore's own reader sees it.

That reader believes the dims of an entry: with less content it gives zeros without a word, with more it writes past its
memory. A checkpoint is a protobuf (MindSpore 2, checkpoint.proto and ``TensorProto`` of tensor.proto):

    Checkpoint   1: Value, repeated
    Value        1: tag, a text    2: TensorProto    3: MapTensorProto, which no network here has
    TensorProto  1: dims, int64, repeated or packed    2: tensor_type, a text    3: tensor_content, bytes

A long array lies in several entries of one tag, each with all dims; their contents follow each other.
"""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Tuple, Union

from clip2om.pipeline.errors import RequestError

# Bytes of a value of each type, by the names in tensor.proto; texts that training stores are of type str.
_SIZES = {
    **dict.fromkeys(("Int8", "UInt8", "Bool"), 1),
    **dict.fromkeys(("Int16", "UInt16", "Float16", "BFloat16"), 2),
    **dict.fromkeys(("Int32", "UInt32", "Float32", "Complex32"), 4),
    **dict.fromkeys(("Int64", "UInt64", "Float64", "Complex64"), 8),
    "Complex128": 16,
}
_MOST_DIMS, _MOST_ENTRIES = 32, 1 << 20
_CRC = b"crc_num"
_CRC_DIGITS = 10
Span = Tuple[int, int]


class _CutError(Exception):
    """The bytes are no such protobuf, or end in its middle."""


@dataclass
class _Entry:
    """One array: its dims, its type, and the bytes of content found so far."""

    dims: Tuple[int, ...] = ()
    kind: str = ""
    content: int = 0


def check_content(path: Path) -> None:
    """Compare the dims of every entry with the length of its content.

    A file that is no such protobuf passes: what it is, MindSpore's reader and its callers say.

    Raises:
        RequestError: an array has more or less content than its dims say, or dims that no array has.
    """
    with open(path, "rb") as stream:
        size = stream.seek(0, 2)
        if not size:
            return
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if size > len(_CRC) + _CRC_DIGITS and data[size - len(_CRC) - _CRC_DIGITS : size - _CRC_DIGITS] == _CRC:
                size -= len(_CRC) + _CRC_DIGITS
            try:
                entries = _entries(data, (0, size))
            except _CutError:
                raise RequestError(f"is cut short at {size} bytes, or damaged", path, "copy it again") from None
    for name, entry in entries.items():
        wrong = _wrong(entry)
        if wrong:
            raise RequestError(f"is damaged: {name[:80]!r} {wrong}", path, "copy it again")


def _wrong(entry: _Entry) -> str:
    if entry.kind not in _SIZES:
        return ""
    if entry.dims == (0,) and entry.content == _SIZES[entry.kind]:
        return ""  # how a scalar is written
    if len(entry.dims) > _MOST_DIMS or min(entry.dims, default=1) < 1:
        return f"has dims {list(entry.dims)[:9]}"
    expected = math.prod(entry.dims) * _SIZES[entry.kind]
    if entry.content != expected:
        return f"of dims {list(entry.dims)} holds {entry.content} bytes, expected {expected}"
    return ""


def _entries(data: mmap.mmap, span: Span) -> Dict[str, _Entry]:
    found: Dict[str, _Entry] = {}
    for number, value in _fields(data, span):
        if number != 1 or not isinstance(value, tuple):
            continue
        if len(found) > _MOST_ENTRIES:
            raise _CutError
        name, tensor = "", None
        for inner, part in _fields(data, value):
            if inner == 1 and isinstance(part, tuple):
                name = data[part[0] : part[1]].decode("utf-8", "replace")
            elif inner == 2 and isinstance(part, tuple):
                if tensor is not None:  # readers would merge the two
                    raise _CutError
                tensor = _tensor(data, part)
        if tensor is not None:
            _add(found, name, tensor)
    return found


def _add(found: Dict[str, _Entry], name: str, part: _Entry) -> None:
    entry = found.setdefault(name, _Entry(part.dims, part.kind))
    if (entry.dims, entry.kind) != (part.dims, part.kind):
        raise _CutError
    entry.content += part.content


def _tensor(data: mmap.mmap, span: Span) -> _Entry:
    dims: List[int] = []
    entry = _Entry()
    for number, value in _fields(data, span):
        if number == 1:
            dims += [value] if isinstance(value, int) else _packed(data, value)
        elif number == 2 and isinstance(value, tuple):
            entry.kind = data[value[0] : value[1]].decode("utf-8", "replace")
        elif number == 3 and isinstance(value, tuple):
            entry.content = value[1] - value[0]
        if len(dims) > _MOST_DIMS:
            raise _CutError
    entry.dims = tuple(dim - (1 << 64) if dim >= 1 << 63 else dim for dim in dims)
    return entry


def _packed(data: mmap.mmap, span: Span) -> List[int]:
    found: List[int] = []
    at = span[0]
    while at < span[1] and len(found) <= _MOST_DIMS:
        value, at = _varint(data, at, span[1])
        found.append(value)
    return found


def _fields(data: mmap.mmap, span: Span) -> Iterator[Tuple[int, Union[int, Span]]]:
    """Yield the number of each field with its value: an integer, or where its bytes begin and end."""
    at, end = span
    while at < end:
        key, at = _varint(data, at, end)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at, end)
            yield key >> 3, value
            continue
        if kind == 2:
            length, at = _varint(data, at, end)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise _CutError
        if at + length > end:
            raise _CutError
        yield key >> 3, (at, at + length)
        at += length


def _varint(data: mmap.mmap, at: int, end: int) -> Tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & ((1 << 64) - 1), at
        shift += 7
    raise _CutError
