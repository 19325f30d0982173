"""Reading what ``paddle.save`` writes without running anything that the file may hold."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, BinaryIO, Dict, Tuple

import numpy as np

from clip2om.export.weights import opcodes
from clip2om.export.weights.inert import Entries, Kind, RefusedError, Safe, StandIn, stand_in
from clip2om.export.weights.rebuild import Array, Dtype
from clip2om.export.weights.stored import DamagedError
from clip2om.pipeline.errors import RequestError

State = Dict[str, Any]
_NAMES = "StructuredToParameterName@@"
_RESAVE = "if you trust the file, save its weights alone: paddle.save(network.state_dict(), FILE)"
# What an old PyTorch file (before 1.6) begins with, and a module of each object in a pickled one.
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C


def read_state(path: Path) -> State:
    """Return the weights of a ``.pdparams`` file by name, floating-point ones as float32, or a container of them.

    The file is a pickle of a dict of arrays. Its unpickler knows the globals that such a file has
    (``_reconstruct``, ``ndarray`` and ``dtype`` of NumPy, ``_codecs.encode``); of other data it makes inert stand-ins,
    and what runs something it refuses (:mod:`export.weights.inert`).

    Raises:
        RequestError: another kind of file, a damaged one, or one that holds objects other than weights.
    """
    with open(path, "rb") as stream:
        if stream.read(2) == b"PK":
            raise _not_paddle(path, "is a zip archive, as PyTorch writes its checkpoints")
    content = _unpickle(path)
    if isinstance(content, int) and content == _TORCH_MAGIC:
        raise _not_paddle(path, "is a PyTorch checkpoint")
    if isinstance(content, (Kind, StandIn)):
        raise _refuse(path, *(content if isinstance(content, Kind) else type(content)).path.rpartition(".")[::2])
    if not isinstance(content, dict):
        raise RequestError(f"holds no state dict but an object of type {type(content).__name__}", path, _RESAVE)
    content.pop(_NAMES, None)
    if _is_optimizer(content):
        raise RequestError(
            "holds the state of an optimizer (.pdopt), no weights", path, "pass the .pdparams file beside it"
        )
    inner = [value for value in content.values() if isinstance(value, dict)]
    if any(isinstance(value, Array) for part in inner for value in part.values()):
        # A container, in which the weights are still to be found.
        return _read_all(content, path)
    for name, value in content.items():
        if isinstance(name, str) and isinstance(value, Array) and value.problem:
            raise RequestError(f"holds {name!r}, which {value.problem}", path, value.remedy or _RESAVE)
        if not (isinstance(name, str) and isinstance(value, Array)):
            raise RequestError(
                f"holds no state dict but a dict whose entry {name!r} is of type {type(value).__name__}", path, _RESAVE
            )
    if not content:
        raise RequestError("holds no state dict but an empty dict", path, _RESAVE)
    return {name: _values(name, value, path) for name, value in content.items()}


def _read_all(part: Dict[Any, Any], path: Path) -> Dict[Any, Any]:
    """Return a container with its arrays read; one that cannot be read stays, and is no weight if it is asked for."""
    found: Dict[Any, Any] = {}
    for name, value in part.items():
        if isinstance(value, Array) and not value.problem:
            found[name] = _values(str(name), value, path)
        else:
            found[name] = _read_all(value, path) if isinstance(value, dict) else value
    return found


def _values(name: str, array: Array, path: Path) -> np.ndarray:
    try:
        values = array.read()
    except (DamagedError, ValueError) as error:
        raise RequestError(f"is damaged: {name[:80]!r} cannot be read ({error})", path, "copy it again") from None
    return values.astype(np.float32, copy=False) if values.dtype.kind == "f" else values


class _ForbiddenError(Exception):
    """A global that no state dict has."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return one of the globals of weights, or a stand-in for data beside them."""
        key = (module, name)
        if key in _ALLOWED or key in _OLD:
            return _ALLOWED.get(key) or _OLD[key]
        if module.split(".")[0] == "torch":
            raise _ForbiddenError(module, name)
        try:
            return stand_in(module, name)
        except RefusedError:
            raise _ForbiddenError(module, name) from None


def _latin1(text: str, encoding: str) -> bytes:
    """Stand in for ``_codecs.encode``: bytes in pickles of protocol 2 are text in Latin-1."""
    if encoding != "latin1":
        raise _ForbiddenError("_codecs", f"encode to {encoding}")
    return text.encode("latin1")


def _pair(values: Any = ()) -> Any:
    """Stand in for ``tuple``: below the top of a file Paddle writes a tensor as its name and its array."""
    values = tuple(values)
    named = len(values) == 2 and isinstance(values[0], str) and isinstance(values[1], Array)
    return values[1] if named else values


_OLD: Dict[Tuple[str, str], Any] = {
    ("builtins", "tuple"): Safe(_pair),
    ("__builtin__", "tuple"): Safe(_pair),
    ("collections", "OrderedDict"): Entries,
    ("__builtin__", "getattr"): stand_in("builtins", "getattr"),
}


class _Ndarray:
    """Stands in for the class of arrays, which anybody could ask for terabytes: it is named here, and never called."""

    def __init__(self, *_: object) -> None:
        raise _ForbiddenError("numpy", "ndarray of a size that nothing fills")


def _reconstruct(kind: Any, *_: object) -> Array:
    """Stand in for NumPy's: an empty array, whose state brings shape, dtype and values."""
    if kind is not _Ndarray:
        raise _ForbiddenError("numpy", "_reconstruct of another class")
    return Array("", (), problem="is an array without values")


_ALLOWED = {
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Ndarray,
    # NumPy's own would take any flags for its state, and fail in the middle of itself.
    ("numpy", "dtype"): Dtype,
    ("_codecs", "encode"): _latin1,
}


def _unpickle(path: Path) -> Any:
    with open(path, "rb") as stream:
        try:
            opcodes.check(stream)
            return _Unpickler(stream).load()
        except _ForbiddenError as error:
            raise _refuse(path, *error.args) from None
        except RefusedError as error:
            raise _refuse(path, *str(error).rpartition(".")[::2]) from None
        except MemoryError:
            raise
        except Exception as error:  # a malformed pickle can raise anything
            raise _explain(path, stream, error) from None


def _refuse(path: Path, module: str, name: str) -> RequestError:
    if module.split(".")[0] == "torch":
        return _not_paddle(path, "holds PyTorch objects")
    return RequestError(f"refused: to load it is to run {module}.{name}, which is no weight", path, _RESAVE)


def _explain(path: Path, stream: BinaryIO, error: Exception) -> RequestError:
    cut = isinstance(error, EOFError) or "truncated" in str(error)
    stream.seek(0)
    head = stream.read(2)
    # Pickles of protocol 2 and later begin with the byte 0x80 and the protocol's number.
    if not head or (cut and head[:1] == b"\x80"):
        return RequestError(f"is cut short at {path.stat().st_size} bytes", path, "copy it again")
    if path.suffix == ".pdiparams":
        return RequestError(
            "holds weights without names, as paddle.jit.save writes them", path, "pass the .pdparams file of training"
        )
    return RequestError("is not a Paddle state dict, or a damaged one", path, "check --checkpoint")


def _not_paddle(path: Path, what: str) -> RequestError:
    return RequestError(
        f"{what}, expected a .pdparams file", path, "pass that file, or choose a card whose framework is pytorch"
    )


def _is_optimizer(content: Dict[Any, Any]) -> bool:
    """Return whether a dict is what ``optimizer.state_dict()`` gives: accumulators, named after their parameter."""
    marks = ("_moment1_0", "_velocity_0", "_moment_0", "_pow_acc_0")
    return "LR_Scheduler" in content or any(isinstance(name, str) and name.endswith(marks) for name in content)
