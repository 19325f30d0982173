"""Layer outputs that an NPU host dumped: files of ACL's model dump, or the .npy files that msaccucmp.py makes of them.

A dump file is eight bytes with the length of a header (little-endian), the header (a protobuf message ``DumpData``),
then the bytes of all inputs and all outputs, in this order. The message is published with MindSpore
(ccsrc/debug/debugger/dump_data.proto), the names in MindStudio's documentation ("Dump File Naming Conventions").
Never tried on files of a real NPU: the tests write files of this format.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np

from clip2om.pipeline.arrays import NoArrayError, load_npy
from clip2om.pipeline.errors import RequestError

# {op_type}.{op_name}.{numbers ...}, and behind it what msaccucmp.py adds: .output.{index}[.{shape}].npy
_NAME = re.compile(
    r"(?P<type>[A-Za-z0-9_-]+)\.(?P<op>[A-Za-z0-9_-]+)(?:\.\d+){2,8}(?:\.output\.(?P<index>\d+).*\.npy)?"
)
_DTYPES = {1: "float32", 2: "float16", 3: "int8", 4: "uint8", 5: "int16", 7: "int32", 8: "int64", 12: "float64"}
_BFLOAT16 = 27
_BLOCKED = {3: "NC1HWC0", 32: "NDC1HWC0"}
_CHANNELS_LAST = {1: "NHWC", 27: "NDHWC"}
_PLAIN = {0: "NCHW", 2: "ND", 30: "NCDHW"}
_UINT64 = struct.Struct("<Q")


@dataclass(frozen=True)
class DumpedTensor:
    """One output of one operator of an .om.

    Attributes:
        operator: Name after ATC's fusion, with every sign outside A-Z, a-z, 0-9, - and _ replaced.
        original: Name of the graph's node that the output belongs to; empty where the file does not say.
        index: Number of the output, of the original node where there is one.
        values: float32, channels before the spatial axes; blocked layouts keep their padded channels.
    """

    operator: str
    original: str
    index: int
    values: np.ndarray
    file: Path


def read_dumps(folder: Path) -> List[DumpedTensor]:
    """Read every output in the dump files and .npy files below ``folder``.

    Raises:
        RequestError: no such folder, no dump in it, or a file that is cut short, of another format or of a data type
            or layout that is not known.
    """
    if not folder.is_dir():
        raise RequestError("no such folder", folder, "pass the dump_path of acl.json, or what msaccucmp.py wrote")
    found: List[DumpedTensor] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        match = _NAME.fullmatch(path.name)
        if match is None:
            continue
        if match["index"] is None:
            found += _read_file(path, match["op"])
        else:
            found.append(DumpedTensor(match["op"], "", int(match["index"]), _read_npy(path), path))
    if not found:
        raise RequestError(
            "holds no dump of an output",
            folder,
            "its files are called {op_type}.{op_name}.{task_id}.{stream_id}.{time}",
        )
    return found


def _read_npy(path: Path) -> np.ndarray:
    try:
        return load_npy(path).astype(np.float32)
    except (NoArrayError, ValueError, TypeError, OSError) as error:
        raise RequestError(f"is not a NumPy file ({error})", path) from None


def _read_file(path: Path, operator: str) -> Iterator[DumpedTensor]:
    data = path.read_bytes()
    header, offset = _header(data, path)
    offset += sum(tensor.size for tensor in header.input)
    for number, tensor in enumerate(header.output):
        end = offset + tensor.size
        if end > len(data):
            raise RequestError(f"is cut short: {len(data)} bytes, output {number} ends at {end}", path, "copy it again")
        original = tensor.original_op.name
        index = tensor.original_op.output_index if original else number
        yield DumpedTensor(operator, original, index, _values(tensor, data[offset:end], path), path)
        offset = end


def _header(data: bytes, path: Path) -> Tuple[Any, int]:
    """Return the parsed header and where the data begin."""
    if len(data) < _UINT64.size:
        raise RequestError(f"is no dump file: {len(data)} bytes", path)
    (length,) = _UINT64.unpack_from(data)
    end = _UINT64.size + length
    if end > len(data):
        raise RequestError(f"is no dump file, or cut short: its header would end at byte {end} of {len(data)}", path)
    message = _message_class()()
    try:
        message.ParseFromString(data[_UINT64.size : end])
    except Exception as error:  # the library's DecodeError lies in different modules from release to release
        raise RequestError(f"its header is no DumpData message ({error})", path) from None
    return message, end


def _values(tensor: Any, data: bytes, path: Path) -> np.ndarray:
    shape = tuple(tensor.shape.dim)
    if tensor.data_type == _BFLOAT16:
        flat = (np.frombuffer(data[: len(data) // 2 * 2], np.uint16).astype(np.uint32) << 16).view(np.float32)
    elif tensor.data_type in _DTYPES:
        dtype = np.dtype(_DTYPES[tensor.data_type])
        flat = np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype).astype(np.float32)
    else:
        raise RequestError(f"holds data type {tensor.data_type}, which this reader does not know", path)
    if flat.size != math.prod(shape):
        raise RequestError(f"holds {flat.size} values for shape {list(shape)}", path)
    return _channels_first(flat.reshape(shape), tensor.format, path)


def _channels_first(values: np.ndarray, layout: int, path: Path) -> np.ndarray:
    """Return an array with its channels on axis 1; blocked channels (C1, C0) are joined, padding included."""
    if layout in _PLAIN:
        return values
    if layout in _CHANNELS_LAST:
        return np.moveaxis(values, -1, 1)
    if layout in _BLOCKED:
        # (N, [D,] C1, H, W, C0)
        names = _BLOCKED[layout]
        block = 2 if "D" in names else 1
        order = [0, block, values.ndim - 1, *(axis for axis in range(1, values.ndim - 1) if axis != block)]
        joined = values.transpose(order)
        return joined.reshape(joined.shape[0], -1, *joined.shape[3:])
    raise RequestError(
        f"is in layout {layout}, which this reader does not know",
        path,
        "convert it: python3 msaccucmp.py convert -d FILE -f NCHW",
    )


_FIELDS: Dict[str, List[Tuple[str, int, str, bool]]] = {
    "Shape": [("dim", 1, "uint64", True)],
    "OriginalOp": [("name", 1, "string", False), ("output_index", 2, "uint32", False)],
    "OpOutput": [
        ("data_type", 1, "int32", False),
        ("format", 2, "int32", False),
        ("shape", 3, "Shape", False),
        ("original_op", 4, "OriginalOp", False),
        ("size", 6, "uint64", False),
    ],
    "OpInput": [("size", 5, "uint64", False)],
    "DumpData": [
        ("version", 1, "string", False),
        ("dump_time", 2, "uint64", False),
        ("output", 3, "OpOutput", True),
        ("input", 4, "OpInput", True),
        ("op_name", 6, "string", False),
    ],
}
_message: Optional[Any] = None


def _message_class() -> Any:
    """Return the class of ``DumpData``, built from :data:`_FIELDS`: what is read of the published message."""
    global _message
    if _message is None:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

        file = descriptor_pb2.FileDescriptorProto(name="clip2om_dump.proto", package="clip2om.dump", syntax="proto3")
        kinds = {"uint64": 4, "int32": 5, "string": 9, "uint32": 13}
        for name, fields in _FIELDS.items():
            message = file.message_type.add(name=name)
            for key, number, kind, repeated in fields:
                field = message.field.add(name=key, number=number, label=3 if repeated else 1, type=kinds.get(kind, 11))
                if kind not in kinds:
                    field.type_name = f".clip2om.dump.{kind}"
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        _message = message_factory.GetMessageClass(pool.FindMessageTypeByName("clip2om.dump.DumpData"))
    return _message
