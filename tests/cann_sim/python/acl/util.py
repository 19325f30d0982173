"""Simulated ``acl.util``: pointers to and from Python objects."""

from __future__ import annotations

import ctypes
import sys
import threading
import warnings
from typing import Any, Callable, Tuple

import numpy as np
from _cann_sim import state
from _cann_sim.call import parse
from _cann_sim.violation import violate

# [D] NumPy type numbers.
_TYPES = {
    number: np.dtype(name)
    for number, name in {
        0: "bool",
        1: "int8",
        2: "uint8",
        3: "int16",
        4: "uint16",
        5: "int32",
        6: "uint32",
        7: "int64",
        8: "uint64",
        9: "int64",
        10: "uint64",
        11: "float32",
        12: "float64",
        23: "float16",
    }.items()
}
_LONGEST_CALL = 60.0


def _references(*args: Any) -> int:
    return sys.getrefcount(args[0])


# How often an object that nobody but the call holds is counted, in this version of Python.
_TEMPORARY = _references(bytes(bytearray(3)))


def bytes_to_ptr(*args: Any) -> int:
    """Return the address of a bytes object's data; valid only while the object lives."""
    if len(args) != 1 or not isinstance(args[0], bytes):
        raise ValueError("needs an byte as argument")
    if sys.getrefcount(args[0]) <= _TEMPORARY:
        raise violate("acl.util.bytes_to_ptr of a temporary: the pointer dangles as soon as it is returned")
    return ctypes.cast(ctypes.c_char_p(args[0]), ctypes.c_void_p).value or 0


def ptr_to_bytes(*args: Any) -> bytes:
    """Return a copy of host memory."""
    ptr, size = parse("acl.util.ptr_to_bytes", "kk", "", args)
    _check_host_pointer(ptr, size, "acl.util.ptr_to_bytes")
    state.process.ledger.check_host(ptr, size, False, "acl.util.ptr_to_bytes reads")
    return ctypes.string_at(ptr, size)


def numpy_to_ptr(*args: Any) -> int:
    """Return the address of an array's data (deprecated)."""
    if len(args) != 1 or not isinstance(args[0], np.ndarray):
        raise ValueError("needs an ndarray as argument")
    warnings.warn("numpy_to_ptr will be deprecated. Please use acl.util.bytes_to_ptr instead.", stacklevel=2)
    if sys.getrefcount(args[0]) <= _TEMPORARY and args[0].base is None:
        raise violate("acl.util.numpy_to_ptr of a temporary: the pointer dangles as soon as it is returned")
    if not args[0].flags.c_contiguous:
        raise violate("acl.util.numpy_to_ptr of an array that is not contiguous: its bytes are in another order")
    return state.process.memory.borrow(args[0])


def numpy_contiguous_to_ptr(*args: Any) -> Tuple[int, np.ndarray]:
    """Return address and array, a contiguous copy if need be; keep the array."""
    if len(args) != 1 or not isinstance(args[0], np.ndarray):
        raise ValueError("needs an ndarray as argument")
    array = np.ascontiguousarray(args[0])
    return state.process.memory.borrow(array), array


def ptr_to_numpy(*args: Any) -> np.ndarray:
    """Return an array over host memory, without a copy and without owning it."""
    ptr, shape, number = parse("acl.util.ptr_to_numpy", "kOi", "", args)
    if not isinstance(shape, tuple) or number not in _TYPES:
        raise TypeError("acl.util.ptr_to_numpy args parse failed")
    dtype = _TYPES[number]
    count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    _check_host_pointer(ptr, count, "acl.util.ptr_to_numpy")
    return np.frombuffer((ctypes.c_ubyte * count).from_address(ptr), dtype).reshape(shape)


def _check_host_pointer(ptr: int, count: int, what: str) -> None:
    memory = state.process.memory
    if memory.resolve(ptr, count, what).on_device and not memory.unified:
        raise violate(f"{what} of the device pointer {ptr:#x}")


_STOPPED = {}


def start_thread(*args: Any) -> Tuple[int, int]:
    """Start a thread that calls a function with a list of arguments; returns (thread, code)."""
    function, arguments = parse("acl.util.start_thread", "OO", "", args)
    call: Callable[..., None] = function
    thread = threading.Thread(target=call, args=tuple(arguments), daemon=True)
    thread.start()
    assert thread.ident is not None
    _STOPPED[thread.ident] = thread
    return thread.ident, 0


def stop_thread(*args: Any) -> int:
    """Wait for a thread of start_thread to end."""
    (ident,) = parse("acl.util.stop_thread", "k", "", args)
    thread = _STOPPED.pop(ident, None)
    if thread is None:
        raise violate("acl.util.stop_thread of a thread that start_thread did not make")
    thread.join(_LONGEST_CALL)
    return 0
