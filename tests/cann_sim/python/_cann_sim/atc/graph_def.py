"""Names and types of the nodes of a frozen TensorFlow graph, read without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Iterator, List, Tuple

from _cann_sim.atc.console import Refused, bad_value
from _cann_sim.atc.shapes import Shapes

_NODE, _NAME, _OP = 1, 1, 2
_INPUTS = ("Placeholder", "PlaceholderWithDefault")


def read_nodes(path: str) -> Dict[str, str]:
    """Return operator types by node name.

    Raises:
        Refused: not a GraphDef, or one without nodes.
    """
    nodes = {}
    try:
        for number, payload in _fields(Path(path).read_bytes()):
            if number == _NODE:
                entry = dict(_fields(payload))
                nodes[entry[_NAME].decode()] = entry[_OP].decode()
    except (IndexError, KeyError, UnicodeDecodeError, ValueError) as error:
        raise Refused("E16001", f"Failed to parse the TensorFlow model [{path}]: not a GraphDef") from error
    if not nodes:
        raise Refused("E16001", f"Failed to parse the TensorFlow model [{path}]: it has no node.")
    return nodes


def _fields(data: bytes) -> Iterator[Tuple[int, bytes]]:
    """Yield the length-delimited fields of a protobuf message; skip the others."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == 0:
            _, place = _varint(data, place)
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


def check_names(nodes: Dict[str, str], shapes: Shapes, out_nodes: List[str]) -> None:
    """Check --input_shape and --out_nodes against the graph.

    Raises:
        Refused: E10016, E10017, E10001 or E10003.
    """
    for name in shapes.inputs:
        if name not in nodes:
            raise Refused(
                "E10016",
                f"Opname [{name}] specified in [--input_shape] is not found in the model, confirm "
                "whether this node name exists, or node is not split with the specified delimiter ';'",
            )
        if nodes[name] not in _INPUTS:
            raise Refused("E10017", f"Input op [{name}] in [--input_shape] is invalid. Reason: it is not a Data node.")
    for entry in out_nodes:
        node, colon, index = entry.rpartition(":")
        if not colon or not index.isdigit():
            raise bad_value(entry, "--out_nodes", "the format is node:index")
        if node not in nodes:
            raise Refused(
                "E10016",
                f"Opname [{node}] specified in [--out_nodes] is not found in the model, confirm "
                "whether this node name exists, or node is not split with the specified delimiter ';'",
            )
