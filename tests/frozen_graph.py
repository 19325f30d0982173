"""Frozen TensorFlow graphs written without TensorFlow: the protobuf messages GraphDef, NodeDef and AttrValue by hand.

Field numbers are those of TensorFlow's graph.proto, node_def.proto, attr_value.proto and tensor.proto.
"""

from __future__ import annotations

from typing import Dict, List, Sequence

import numpy as np

_TYPES = {"float32": 1, "int32": 3, "uint8": 4, "int64": 9, "bool": 10}
_PRODUCER = 1087


def node(op: str, name: str, *inputs: str, **attributes: bytes) -> bytes:
    """Return one NodeDef as a field of a GraphDef; attribute values are made by the functions below."""
    entries = [_message(5, _text(1, key.rstrip("_")) + _message(2, value)) for key, value in attributes.items()]
    content = _text(1, name) + _text(2, op) + b"".join(_text(3, entry) for entry in inputs) + b"".join(entries)
    return _message(1, content)


def constant(name: str, value: np.ndarray) -> bytes:
    """Return a Const node."""
    kind = _integer(1, _TYPES[value.dtype.name])
    tensor = kind + _message(2, _dims(value.shape)) + _message(4, np.ascontiguousarray(value).tobytes())
    return node("Const", name, dtype=of_type(value.dtype.name), value=_message(8, tensor))


def placeholder(name: str, dtype: str, shape: Sequence[int]) -> bytes:
    """Return a Placeholder node; -1 in ``shape`` is an open extent."""
    return node("Placeholder", name, dtype=of_type(dtype), shape=_message(7, _dims(shape)))


def graph(nodes: Sequence[bytes]) -> bytes:
    """Return the GraphDef."""
    return b"".join(nodes) + _message(4, _integer(1, _PRODUCER))


def of_type(dtype: str) -> bytes:
    """Return a type as an attribute's value."""
    return _integer(6, _TYPES[dtype])


def of_text(text: str) -> bytes:
    """Return text as an attribute's value."""
    return _text(2, text)


def of_flag(flag: bool) -> bytes:
    """Return a truth value as an attribute's value."""
    return _integer(5, int(flag))


def of_integers(values: Sequence[int]) -> bytes:
    """Return a list of integers as an attribute's value."""
    return _message(1, _message(3, b"".join(_varint(value) for value in values)))


def clip_network(spec: Dict[str, object], weights: Sequence[np.ndarray], batch_accuracy: bool = False) -> bytes:
    """Return a small network over clips: Conv3D, BiasAdd, ReLU, mean over T, H and W, MatMul, BiasAdd.

    Args:
        spec: ``name``, ``dtype`` and ``shape`` (N, T, H, W, C) of the input; ``rigid`` holds N in a constant.
        weights: Kernel (3, 3, 3, C, width), matrix (width, classes) and bias (classes,), float32.
        batch_accuracy: Add input ``batch_labels``, int32 (N, classes), and output ``output``, the accuracy.
    """
    kernel, matrix, bias = weights
    name, dtype, shape = str(spec["name"]), str(spec["dtype"]), list(spec["shape"])  # type: ignore[call-overload]
    rows = shape[0] if spec.get("rigid") else -1
    real, whole = {"T": of_type("float32")}, {"Tidx": of_type("int32")}
    nodes = [
        placeholder(name, dtype, shape),
        node("Cast", "values", name, SrcT=of_type(dtype), DstT=of_type("float32")),
        constant("C3D/conv1/kernel", kernel),
        node(
            *("Conv3D", "C3D/conv1/Conv3D", "values", "C3D/conv1/kernel"),
            **real,
            strides=of_integers([1] * 5),
            padding=of_text("SAME"),
            data_format=of_text("NDHWC"),
        ),
        node("Relu", "C3D/conv1/Relu", "C3D/conv1/Conv3D", **real),
        constant("axes", np.array([1, 2, 3], np.int32)),
        node("Mean", "pool", "C3D/conv1/Relu", "axes", **real, **whole, keep_dims=of_flag(False)),
        constant("target", np.array([rows, kernel.shape[-1]], np.int32)),
        node("Reshape", "flat", "pool", "target", **real, Tshape=of_type("int32")),
        constant("C3D/out/weights", matrix),
        node(
            *("MatMul", "C3D/out/MatMul", "flat", "C3D/out/weights"),
            **real,
            transpose_a=of_flag(False),
            transpose_b=of_flag(False),
        ),
        constant("C3D/out/biases", bias),
        node("BiasAdd", "C3D/out/BiasAdd", "C3D/out/MatMul", "C3D/out/biases", **real, data_format=of_text("NHWC")),
    ]
    return graph([*nodes, *(_accuracy([shape[0], len(bias)]) if batch_accuracy else [])])


def _accuracy(shape: Sequence[int]) -> List[bytes]:
    wide, whole = of_type("int64"), of_type("int32")
    return [
        placeholder("batch_labels", "int32", shape),
        constant("over_classes", np.array(1, np.int32)),
        node("ArgMax", "found", "C3D/out/BiasAdd", "over_classes", T=of_type("float32"), Tidx=whole, output_type=wide),
        node("ArgMax", "wanted", "batch_labels", "over_classes", T=whole, Tidx=whole, output_type=wide),
        node("Equal", "right", "found", "wanted", T=wide),
        node("Cast", "hits", "right", SrcT=of_type("bool"), DstT=of_type("float32")),
        constant("over_clips", np.array([0], np.int32)),
        node("Mean", "output", "hits", "over_clips", T=of_type("float32"), Tidx=whole, keep_dims=of_flag(False)),
    ]


def _dims(shape: Sequence[int]) -> bytes:
    return b"".join(_message(2, _integer(1, extent)) for extent in shape)


def _text(number: int, text: str) -> bytes:
    return _message(number, text.encode())


def _message(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _integer(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
