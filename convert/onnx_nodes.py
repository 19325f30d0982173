"""The nodes of an ONNX file, read without the package onnx, which a host with an NPU need not have.

Only the few fields of onnx.proto that :mod:`convert.onnx_check` asks for are read; weights are stepped over.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterator, List, Tuple, Union

# Field numbers of ModelProto, GraphProto, NodeProto, AttributeProto and TensorProto.
_GRAPH, _NODE, _INITIALIZER = 7, 1, 5
_INPUT, _NAME, _OP_TYPE, _ATTRIBUTE = 1, 3, 4, 5
_ATTRIBUTE_NAME, _INTEGER, _TEXT, _INTEGERS = 1, 3, 4, 8
_TENSOR_DIMS, _TENSOR_NAME = 1, 8
Span = Tuple[int, int]
Attribute = Union[int, str, List[int]]


@dataclass(frozen=True)
class OnnxNode:
    """One operator; ``weight_rank`` is the rank of its second input where that is a weight, else 0."""

    name: str
    kind: str
    weight_rank: int
    attributes: Dict[str, Attribute] = field(default_factory=dict)


def read_nodes(path: Path) -> List[OnnxNode]:
    """Return the operators of a graph in its order.

    Raises:
        ValueError: the file is not protobuf.
    """
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _read(data)
        except IndexError:
            raise ValueError(f"{path} is cut short") from None


def _read(data: mmap.mmap) -> List[OnnxNode]:
    nodes: List[Span] = []
    ranks: Dict[str, int] = {}
    for number, graph in _fields(data, (0, len(data))):
        if number != _GRAPH or isinstance(graph, int):
            continue
        for kind, span in _fields(data, graph):
            if kind == _NODE and not isinstance(span, int):
                nodes.append(span)
            elif kind == _INITIALIZER and not isinstance(span, int):
                name, rank = _tensor(data, span)
                ranks[name] = rank
    return [_node(data, span, ranks) for span in nodes]


def _node(data: mmap.mmap, span: Span, ranks: Dict[str, int]) -> OnnxNode:
    inputs: List[str] = []
    texts = {_NAME: "", _OP_TYPE: ""}
    attributes: Dict[str, Attribute] = {}
    for number, value in _fields(data, span):
        if isinstance(value, int):
            continue
        if number == _INPUT:
            inputs.append(_text(data, value))
        elif number in texts:
            texts[number] = _text(data, value)
        elif number == _ATTRIBUTE:
            name, content = _attribute(data, value)
            attributes[name] = content
    rank = ranks.get(inputs[1], 0) if len(inputs) > 1 else 0
    return OnnxNode(texts[_NAME] or "without a name", texts[_OP_TYPE], rank, attributes)


def _attribute(data: mmap.mmap, span: Span) -> Tuple[str, Attribute]:
    name, content, numbers = "", "", []  # type: str, Attribute, List[int]
    for number, value in _fields(data, span):
        if number == _INTEGERS:
            numbers += [value] if isinstance(value, int) else _packed(data, value)
        elif number == _INTEGER and isinstance(value, int):
            content = value
        elif number == _TEXT and not isinstance(value, int):
            content = _text(data, value)
        elif number == _ATTRIBUTE_NAME and not isinstance(value, int):
            name = _text(data, value)
    return name, numbers or content


def _tensor(data: mmap.mmap, span: Span) -> Tuple[str, int]:
    name, rank = "", 0
    for number, value in _fields(data, span):
        if number == _TENSOR_DIMS:
            rank += 1 if isinstance(value, int) else len(_packed(data, value))
        elif number == _TENSOR_NAME and not isinstance(value, int):
            name = _text(data, value)
    return name, rank


def _fields(data: mmap.mmap, span: Span) -> Iterator[Tuple[int, Union[int, Span]]]:
    """Yield number and value of each field in ``span``: an integer, or where the field's bytes begin and end."""
    place, end = span
    while place < end:
        key, place = _varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
        elif kind == 2:
            size, place = _varint(data, place)
            if place + size > end:
                raise ValueError("a field reaches beyond its message")
            yield key >> 3, (place, place + size)
            place += size
        elif kind in (1, 5):
            place += 8 if kind == 1 else 4
        else:
            raise ValueError("not protobuf")


def _varint(data: mmap.mmap, place: int) -> Tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, place


def _packed(data: mmap.mmap, span: Span) -> List[int]:
    place, end = span
    values = []
    while place < end:
        value, place = _varint(data, place)
        values.append(value)
    return values


def _text(data: mmap.mmap, span: Span) -> str:
    return data[span[0] : span[1]].decode("utf-8", "replace")
