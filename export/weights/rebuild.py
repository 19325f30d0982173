"""How PyTorch, its neighbours for other devices, and NumPy write arrays into pickles; each part as inert data."""

from __future__ import annotations

import math
import re
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

import numpy as np

from clip2om.export.weights.inert import Kind, RefusedError, Safe, stand_in
from clip2om.export.weights.stored import DTYPES, DamagedError, Storage, Stored, of_array, view

_STORAGES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
    "Untyped": "",
    "Typed": "",
    "_Typed": "",
}
# Tensors of torch_npu, torch_mlu, torch_musa, ...: the arguments of torch._utils._rebuild_tensor_v2, then their own.
_NEIGHBOUR = re.compile(r"_rebuild_\w*tensor\w*")
_QUANTISED = "is quantised"
_SPARSE = "is sparse"
_EMPTY = "has no values (it was saved on the device meta)"
_DENSE = "save it dense: value.to_dense()"
_FILLED = "save the weights after they were loaded or trained"
_FLOATS = "save the weights before they are quantised"


class StorageType:
    """What a pickle calls ``torch.FloatStorage``; ``dtype`` is empty where the tensors say it."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype

    def __setstate__(self, state: object) -> None:
        """Refuse: there is one for all files.

        Raises:
            RefusedError: always.
        """
        raise RefusedError("a change of a storage")


class Array(Stored):
    """An array of NumPy, whose state comes after it."""

    def __setstate__(self, state: object) -> None:
        if not (isinstance(state, tuple) and len(state) == 5 and isinstance(state[2], Dtype)):
            raise DamagedError("an array without its state")
        _, shape, dtype, by_columns, data = state
        if not (isinstance(shape, tuple) and all(type(extent) is int and extent >= 0 for extent in shape)):
            raise DamagedError("an array of impossible extents")
        data = data.encode("latin1") if isinstance(data, str) else data
        self.shape, self.dtype, self.problem = shape, dtype.name, ""
        if dtype.name not in DTYPES or not isinstance(data, bytes):
            self.problem, self.remedy = f"is an array of {dtype.code}", "save it as float32"
            return
        kind, order = np.dtype(dtype.order + DTYPES[dtype.name]), "F" if by_columns else "C"

        def read() -> np.ndarray:
            values = np.frombuffer(data, kind)
            if values.size != math.prod(shape):
                raise DamagedError("an array of another size than its values")
            return values.reshape(shape, order=order).astype(kind.newbyteorder("="))  # type: ignore[call-overload]

        self.read = read


class Dtype:
    """A dtype of NumPy: ``f4`` and its byte order, which its state says."""

    __slots__ = ("code", "order")

    def __init__(self, code: object, *rest: object) -> None:
        self.code, self.order = str(code), "="

    def __setstate__(self, state: object) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else "="
        self.order = {"<": "<", ">": ">"}.get(str(order), "=")

    @property
    def name(self) -> str:
        """The dtype's name; empty for objects and texts."""
        try:
            kind = np.dtype(self.code)
        except TypeError:
            return ""
        return kind.name if kind.kind in "fiubc" else ""


class _Name(str):
    """A dtype of PyTorch."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Refuse.

        Raises:
            RefusedError: always.
        """
        raise RefusedError("a change of a dtype")


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *rest: Any) -> Stored:
    if not isinstance(storage, Storage):
        raise DamagedError("a tensor without storage")
    return view(storage, offset, _extents(shape), _extents(stride))


def _tensor_of_dtype(storage: Any, offset: Any, shape: Any, stride: Any, *rest: Any) -> Stored:
    if not isinstance(storage, Storage) or len(rest) < 3:
        raise DamagedError("a tensor without storage")
    return view(storage, offset, _extents(shape), _extents(stride), str(rest[2]))


def _extents(value: Any) -> Tuple[int, ...]:
    if not isinstance(value, tuple):
        raise DamagedError("a tensor of impossible extents")
    return value


def _first(data: Any, *rest: Any) -> Any:
    """A parameter, or a tensor of another device: its data."""
    return data if isinstance(data, Stored) else of_array(np.zeros(0, np.float32))


def _unreadable(problem: str, remedy: str, shape: int) -> Safe:
    """Return what stands for tensors without values here; their shape is argument ``shape`` where that is one."""

    def make(*args: Any) -> Stored:
        found = args[shape] if len(args) > shape >= 0 and isinstance(args[shape], tuple) else ()
        extents = tuple(extent for extent in found if type(extent) is int)
        return Stored("float32", extents, problem=problem, remedy=remedy)

    return Safe(make)


def _of_type(function: Any, kind: Any, args: Any, *rest: Any) -> Any:
    """A tensor of a derived class, or with attributes: as the base class is."""
    if not isinstance(args, tuple) or not isinstance(function, (Safe, Kind)):
        raise DamagedError("a tensor without its parts")
    return function(*args)


def _numpy_scalar(dtype: Any, data: Any = b"", *rest: Any) -> Any:
    return None


def _reconstruct(kind: Any, *rest: Any) -> Array:
    return Array("", ())


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any = "C") -> Array:
    """Arrays in pickles of protocol 5."""
    array = Array("", ())
    array.__setstate__((1, shape, dtype, order == "F", bytes(data) if isinstance(data, (bytes, bytearray)) else data))
    return array


_TORCH: Dict[str, Any] = {
    "_utils._rebuild_tensor": Safe(_tensor),
    "_utils._rebuild_tensor_v2": Safe(_tensor),
    "_utils._rebuild_tensor_v3": Safe(_tensor_of_dtype),
    "_utils._rebuild_parameter": Safe(_first),
    "_utils._rebuild_parameter_with_state": Safe(_first),
    "_utils._rebuild_device_tensor_from_numpy": Safe(_first),
    "_utils._rebuild_device_tensor_from_cpu_tensor": Safe(_first),
    "_utils._rebuild_xla_tensor": Safe(_first),
    "_utils._rebuild_meta_tensor_no_storage": _unreadable(_EMPTY, _FILLED, 1),
    "_utils._rebuild_sparse_tensor": _unreadable(_SPARSE, _DENSE, -1),
    "_utils._rebuild_sparse_csr_tensor": _unreadable(_SPARSE, _DENSE, -1),
    "_utils._rebuild_qtensor": _unreadable(_QUANTISED, _FLOATS, 2),
    "_utils._rebuild_nested_tensor": _unreadable("is a nested tensor", "save it as a plain tensor", -1),
    "_utils._rebuild_wrapper_subclass": _unreadable("is a tensor of a class of its own", "save it as a plain one", 2),
    "_tensor._rebuild_from_type": Safe(_of_type),
    "_tensor._rebuild_from_type_v2": Safe(_of_type),
    "Size": Safe(tuple),
}
_NUMPY: Dict[str, Any] = {
    "_reconstruct": Safe(_reconstruct),
    "scalar": Safe(_numpy_scalar),
    "_frombuffer": Safe(_from_buffer),
}


class _Weights(Mapping[Tuple[str, str], Any]):
    """The globals that weights are written with, by module and name; NumPy's and PyTorch's modules have moved."""

    def __getitem__(self, key: Tuple[str, str]) -> Any:
        module, name = key
        top, _, rest = module.partition(".")
        if top == "numpy" and name in _NUMPY:
            return _NUMPY[name]
        if key == ("numpy", "dtype"):
            return Safe(Dtype)
        if name.endswith("Storage") and top.startswith("torch"):
            return StorageType(_STORAGES.get(name[: -len("Storage")], ""))
        if top == "torch":
            if not rest and name in DTYPES:
                return _Name(name)
            return _TORCH[f"{rest}.{name}" if rest else name]
        if _NEIGHBOUR.fullmatch(name):
            return _neighbour(module, name)
        raise KeyError(key)

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 1


def _neighbour(module: str, name: str) -> Safe:
    """Return what stands for a function that makes tensors of another device, or else of one that makes none."""
    other = stand_in(module, name)

    def make(*args: Any) -> Any:
        if len(args) >= 4 and isinstance(args[0], Storage):
            return _tensor(*args)
        return args[0] if args and isinstance(args[0], Stored) else other(*args)

    return Safe(make)


WEIGHTS: Mapping[Tuple[str, str], Any] = _Weights()
LoadStorage = Callable[[Any], Optional[Storage]]
