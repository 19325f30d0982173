"""The nodes of a frozen TensorFlow graph, read without TensorFlow (step 17)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple, Union

from _cann_sim.atc.console import Refused, bad_value
from _cann_sim.knobs import names

# Field numbers of TensorFlow's graph.proto, node_def.proto, attr_value.proto and tensor_shape.proto.
_NODE, _NAME, _OP, _INPUT, _ATTR = 1, 1, 2, 3, 5
_KEY, _VALUE, _TYPE, _SHAPE, _DIM, _SIZE = 1, 2, 6, 7, 2, 1
_TYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 6: "int8", 9: "int64", 10: "bool", 19: "float16"}
_PLACEHOLDERS = ("Placeholder", "PlaceholderWithDefault")
# Of the vendor's list of TensorFlow operators those that recipes of this kind use [I].
_OPS = frozenset(
    names("""
    Add AddV2 ArgMax AvgPool3D BiasAdd Cast ConcatV2 Const Conv3D Equal FusedBatchNorm FusedBatchNormV3 GreaterEqual
    Identity MatMul MaxPool3D Mean Mul NoOp Pack Pad Placeholder PlaceholderWithDefault RandomUniform RealDiv Relu
    Reshape Shape Softmax Squeeze StridedSlice Sub Transpose
    """)
)


@dataclass(frozen=True)
class Node:
    """Operator, inputs as ``node`` or ``node:index``, and of a placeholder its dtype and dims (None: any)."""

    op: str
    inputs: Tuple[str, ...]
    dtype: str
    dims: Optional[List[int]]


def read_nodes(path: str) -> Dict[str, Node]:
    """Return the nodes by name.

    Raises:
        Refused: not a GraphDef, one without nodes, or an operator that no parser knows.
    """
    nodes = {}
    try:
        for number, payload in _fields(Path(path).read_bytes()):
            if number == _NODE and isinstance(payload, bytes):
                name, node = _node(payload)
                nodes[name] = node
    except (IndexError, KeyError, UnicodeDecodeError, ValueError) as error:
        raise Refused("E16001", f"Failed to parse the TensorFlow model [{path}]: not a GraphDef") from error
    if not nodes:
        raise Refused("E16001", f"Failed to parse the TensorFlow model [{path}]: it has no node.")
    for name, node in nodes.items():
        if node.op not in _OPS:
            raise Refused("E19010", f"No parser is registered for Op [{name}, optype [{node.op}]].")
    return nodes


def _node(payload: bytes) -> Tuple[str, Node]:
    texts: Dict[int, List[str]] = {_NAME: [], _OP: [], _INPUT: []}
    attributes = {}
    for number, value in _fields(payload):
        if isinstance(value, bytes) and number in texts:
            texts[number].append(value.decode())
        elif isinstance(value, bytes) and number == _ATTR:
            entry = dict(_fields(value))
            attributes[_bytes(entry[_KEY]).decode()] = _bytes(entry[_VALUE])
    (name,), (op,) = texts[_NAME], texts[_OP]
    if op not in _PLACEHOLDERS:
        return name, Node(op, tuple(texts[_INPUT]), "", None)
    shape = dict(_fields(attributes["shape"])).get(_SHAPE) if "shape" in attributes else None
    dims = None if shape is None else [_extent(value) for number, value in _fields(_bytes(shape)) if number == _DIM]
    return name, Node(op, (), _TYPES[int(dict(_fields(attributes["dtype"]))[_TYPE])], dims)


def _extent(dim: Union[int, bytes]) -> int:
    value = int(dict(_fields(_bytes(dim))).get(_SIZE, 0))
    return -1 if value >> 63 else value


def _bytes(value: Union[int, bytes]) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where a message belongs")
    return value


def _fields(data: bytes) -> Iterator[Tuple[int, Union[int, bytes]]]:
    """Yield the varints and the length-delimited fields of a protobuf message; skip the others."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
        elif kind in (1, 5):
            place += 8 if kind == 1 else 4
        elif kind == 2:
            size, place = _varint(data, place)
            if place + size > len(data):
                raise ValueError("cut")
            yield key >> 3, data[place : place + size]
            place += size
        else:
            raise ValueError("not protobuf")


def _varint(data: bytes, place: int) -> Tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, place


def settle_inputs(nodes: Dict[str, Node], asked: Dict[str, List[int]]) -> Dict[str, List[int]]:
    """Return the dims of every placeholder: as asked for, else the graph's own.

    Raises:
        Refused: E10016 unknown name, E10017 not an input, E10049 another rank, E10001 an open dim not given.
    """
    own = {name: node.dims for name, node in nodes.items() if node.op in _PLACEHOLDERS}
    for name, dims in own.items():
        if name not in asked and (dims is None or -1 in dims):
            raise bad_value("-1", name, "maybe you should set input_shape to specify its shape.")
    for name, extents in asked.items():
        if name not in nodes:
            raise _unknown(name, "input_shape")
        if name not in own:
            raise Refused("E10017", f"Input op [{name}] in [--input_shape] is invalid. Reason: it is not a Data node.")
        dims = own[name]
        if dims is not None and len(dims) != len(extents):
            raise Refused(
                "E10049",
                f"The dim size [{len(extents)}] of input [{name}] in [--input_shape] differs from that of the model "
                f"[{len(dims)}].",
            )
    return {name: asked.get(name, dims or []) for name, dims in own.items()}


def settle_outputs(nodes: Dict[str, Node], out_nodes: str) -> List[str]:
    """Return the outputs as ``node:index``: as asked for, else of every node that nothing reads.

    Raises:
        Refused: E10001 for anything but node:index, E10016 for an unknown node, E10003 for an output it has not.
    """
    wanted = [entry for entry in out_nodes.split(";") if entry]
    for entry in wanted:
        node, colon, index = entry.rpartition(":")
        if not colon or not index.isdigit():
            raise bad_value(entry, "--out_nodes", "the format is node:index")
        if node not in nodes:
            raise _unknown(node, "out_nodes")
        if int(index) and not nodes[node].op.startswith("FusedBatchNorm"):
            raise bad_value(entry, "--out_nodes", f"node {node} has no output {index}", "E10003")
    if wanted:
        return wanted
    read = {name.lstrip("^").partition(":")[0] for node in nodes.values() for name in node.inputs}
    return [f"{name}:0" for name, node in nodes.items() if name not in read and node.op not in (*_PLACEHOLDERS, "NoOp")]


def _unknown(name: str, option: str) -> Refused:
    return Refused(
        "E10016",
        f"Opname [{name}] specified in [--{option}] is not found in the model, confirm whether this node name "
        "exists, or node is not split with the specified delimiter ';'",
    )
