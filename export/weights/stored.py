"""A tensor as a file holds it: its shape is known at once, its values are read when asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Callable, Dict, Optional, Tuple

import numpy as np

# Names of dtypes to what their bytes are in NumPy; bfloat16 has no dtype there and is the upper half of a float32.
DTYPES: Dict[str, str] = {
    "float64": "f8",
    "float32": "f4",
    "float16": "f2",
    "bfloat16": "u2",
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint64": "u8",
    "uint32": "u4",
    "uint16": "u2",
    "uint8": "u1",
    "bool": "?",
    "complex64": "c8",
    "complex128": "c16",
}
FLOATS = ("float64", "float32", "float16", "bfloat16")
# Numbers that a tensor may make of fewer ones.
_REPEATED = 1 << 24


class DamagedError(Exception):
    """A file holds less than it says, or something else; the message says what."""


@dataclass
class Stored:
    """A tensor of a file.

    Attributes:
        dtype: ``float32`` and so on, as PyTorch spells them.
        shape: Its extents.
        read: Gives the values, of the dtype of :data:`DTYPES`.
        problem: Why there are no values to read, for example ``is sparse``; empty where there are.
        remedy: What to do about it.
    """

    dtype: str
    shape: Tuple[int, ...]
    read: Callable[[], np.ndarray] = field(default=lambda: np.zeros(0), repr=False)
    problem: str = ""
    remedy: str = ""

    def __setstate__(self, state: object) -> None:
        """Take no state: what a pickle hangs onto a tensor (hooks, attributes of subclasses) is no value."""

    @property
    def floating(self) -> bool:
        """True for floating-point numbers."""
        return self.dtype in FLOATS

    def array(self) -> np.ndarray:
        """Return the values, floating-point ones as float32.

        Raises:
            DamagedError: the file does not hold them.
        """
        values = self.read()
        if self.dtype == "bfloat16":
            return (values.astype(np.uint32) << 16).view(np.float32)
        return np.array(values, np.float32 if self.floating else None, order="C")


@dataclass
class Storage:
    """A run of numbers that tensors are views of.

    Attributes:
        dtype: Of its elements; empty where the tensors say it.
        load: Gives its bytes, uint8.
        swapped: They are in the other byte order than this machine's.
    """

    dtype: str
    load: Callable[[], np.ndarray] = field(repr=False)
    swapped: bool = False

    def __setstate__(self, state: object) -> None:
        """Take no state."""


def view(
    storage: Storage, offset: int, shape: Tuple[int, ...], stride: Tuple[int, ...], dtype: Optional[str] = None
) -> Stored:
    """Return the tensor of ``shape`` that lies in a storage from element ``offset`` on, ``stride`` elements apart.

    Raises:
        DamagedError: the numbers are no tensor.
    """
    numbers = (offset, *shape, *stride)
    if len(shape) != len(stride) or any(type(number) is not int or number < 0 for number in numbers):
        raise DamagedError("a tensor of impossible extents")
    name = dtype or storage.dtype
    if name not in DTYPES:
        return Stored(name, shape, problem=f"is of dtype {name or 'unknown'}", remedy="save it as float32")

    def read() -> np.ndarray:
        kind = np.dtype(DTYPES[name])
        raw = storage.load()
        values = raw[: len(raw) // kind.itemsize * kind.itemsize].view(kind.newbyteorder() if storage.swapped else kind)
        last = offset + sum((extent - 1) * step for extent, step in zip(shape, stride))
        if 0 not in shape and last >= len(values):
            raise DamagedError(f"a tensor of {last + 1} numbers in a storage of {len(values)}")
        # Strides of 0 repeat numbers, as torch.Tensor.expand does; not without measure.
        if math.prod(shape) > max(_REPEATED, len(values)):
            raise DamagedError(f"a tensor of {math.prod(shape)} numbers, of which the file has {len(values)}")
        strides = tuple(step * kind.itemsize for step in stride)
        return np.lib.stride_tricks.as_strided(values[offset:], shape, strides, writeable=False)

    return Stored(name, shape, read)


def of_array(values: np.ndarray, name: str = "") -> Stored:
    """Return an array as a tensor; ``name`` is the dtype where NumPy has none of that name."""
    return Stored(name or values.dtype.name, tuple(values.shape), lambda: values)
