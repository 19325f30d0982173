"""The simulated .om file: a 256-byte header that begins with IMOD, a JSON description, and the graph."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np

MAGIC = b"IMOD"  # [S] 0x444F4D49 little-endian, 256-byte header
HEADER = 256
_FIELDS = struct.Struct("<4sIQQ32s")
MBATCH = "ascend_mbatch_shape_data"  # [D] ACL_DYNAMIC_TENSOR_NAME

# [D] aclDataType.
ACL_TYPES = {
    "float32": 0,
    "float16": 1,
    "int8": 2,
    "int32": 3,
    "uint8": 4,
    "int16": 6,
    "uint16": 7,
    "uint32": 8,
    "int64": 9,
    "uint64": 10,
    "float64": 11,
    "bool": 12,
}
# [D] aclFormat.
ACL_FORMATS = {"NCHW": 0, "NHWC": 1, "ND": 2, "NDHWC": 27, "NCDHW": 30}


class BadOm(Exception):  # noqa: N818
    """The bytes are not a whole .om."""


@dataclass
class Tensor:
    """Name, NumPy dtype, dims (-1 where gears or ranges apply) and format of one input or output."""

    name: str
    dtype: str
    dims: List[int]
    format: str = "ND"

    def nbytes(self, dims: Optional[List[int]] = None) -> int:
        """Return the bytes of the tensor with the given (default: its own) concrete dims, 0 where one is open."""
        count = 1
        for extent in self.dims if dims is None else dims:
            count *= extent
        return max(count, 0) * np.dtype(self.dtype).itemsize


@dataclass
class Gears:
    """The sizes that a dynamic .om was compiled for.

    Attributes:
        kind: ``batch``, ``hw`` or ``dims``.
        values: One list per gear: [batch], [height, width], or one value per -1 of the inputs.
        inputs: Per gear, the dims of every visible input.
        outputs: Per gear, the dims of every output.
    """

    kind: str
    values: List[List[int]]
    inputs: List[List[List[int]]] = field(default_factory=list)
    outputs: List[List[List[int]]] = field(default_factory=list)

    @property
    def largest(self) -> int:
        """Index of the largest gear."""
        sizes = [sum(int(np.prod(dims)) for dims in gear) for gear in self.inputs]
        return int(np.argmax(sizes))


@dataclass
class Om:
    """What one .om says about itself; ``graph`` is what executes it.

    That is its ONNX model, for framework 3 what :mod:`_cann_sim.ir` packs, empty where nothing here can.
    """

    soc: str
    framework: int
    precision: str
    cmdline: str
    inputs: List[Tensor]
    outputs: List[Tensor]
    gears: Optional[Gears] = None
    weight_size: int = 0
    work_size: int = 0
    external_weight: str = ""
    versions: Dict[str, str] = field(default_factory=dict)
    graph: bytes = b""
    digest: str = ""


def write_om(path: Path, om: Om) -> None:
    """Write ``om`` with the owner's and group's permissions only."""
    path.touch(mode=0o640)  # [I] 0600/0640-like
    path.write_bytes(to_bytes(om))


def to_bytes(om: Om) -> bytes:
    """Return the file's content."""
    described: Dict[str, Any] = asdict(om)
    del described["graph"], described["digest"]
    meta = json.dumps(described).encode()
    body = meta + om.graph
    header = _FIELDS.pack(MAGIC, HEADER, len(meta), len(body), hashlib.sha256(body).digest())
    return header.ljust(HEADER, b"\0") + body


def from_bytes(data: bytes) -> Om:
    """Read what :func:`to_bytes` made.

    Raises:
        BadOm: another kind of file, or one that was cut or changed.
    """
    if len(data) < HEADER or data[:4] != MAGIC:
        raise BadOm("the magic number is not IMOD")
    _, _, meta_size, body_size, digest = _FIELDS.unpack_from(data)
    body = data[HEADER:]
    if len(body) != body_size:
        raise BadOm(f"the file has {len(body)} bytes after its header, the header says {body_size}")
    if hashlib.sha256(body).digest() != digest:
        raise BadOm("the checksum differs")
    meta = json.loads(body[:meta_size])
    meta["inputs"] = [Tensor(**entry) for entry in meta["inputs"]]
    meta["outputs"] = [Tensor(**entry) for entry in meta["outputs"]]
    meta["gears"] = None if meta["gears"] is None else Gears(**meta["gears"])
    return Om(**meta, graph=bytes(body[meta_size:]), digest=digest.hex())
