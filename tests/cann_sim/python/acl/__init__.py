"""Simulated pyACL: the process-level calls; ``acl.rt``, ``acl.mdl`` and ``acl.util`` are submodules.

Like the real module it exports no constants, takes positional arguments only, and never raises for an ACL failure.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Optional, Tuple

from _cann_sim import errors, knobs, state
from _cann_sim.call import api
from _cann_sim.errors import AclError
from _cann_sim.execution import DataBuffer
from _cann_sim.om import ACL_TYPES
from _cann_sim.stream import Stream
from _cann_sim.violation import ContractViolation as _ContractViolation
from _cann_sim.violation import record, violate

if not knobs.driver_present() and not knobs.stub_libraries():
    # [O] the wording for libascendcl.so; that a missing driver shows as its libascend_hal.so is [I].
    raise ImportError("libascend_hal.so: cannot open shared object file: No such file or directory")

# After the library check: a real extension fails before anything else.
from acl import mdl, rt, util

__all__ = ["mdl", "rt", "util"]

# Tests of the simulator name it; the real module has nothing of that name.
ContractViolation = _ContractViolation
_MAX_NESTING = 10


@api("acl.init", "|s", anytime=True)
def init(config: str = "") -> None:
    """Initialise ACL, once per process."""
    process = state.process
    if knobs.stub_libraries():
        raise AclError(errors.STUB_MODE, "devlib (stub) libraries are on LD_LIBRARY_PATH")
    if process.stage == "ready":
        process.references += 1
        raise AclError(errors.REPEAT_INITIALIZE, "EH0003: acl.init was called before")
    content = _read_config(config)
    if process.stage == "finalized" and content != process.config:
        raise AclError(errors.INVALID_PARAM, "EH0001: acl.init after acl.finalize with another config")
    if not knobs.driver_usable():
        # [O] 507899, 500000 and 507033 were all reported.
        raise AclError(errors.DRIVER, "EL0003: drvMngGetConsoleLogLevel failed: the driver cannot be used")
    process.stage, process.references, process.config = "ready", 1, content
    state.watch_exit()


def _read_config(path: str) -> str:
    if not path:
        return ""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise AclError(errors.INVALID_FILE, f"EH0004: {path}: {error.strerror}") from error
    try:
        depth = _depth(json.loads(text))
    except ValueError as error:
        raise AclError(errors.PARSE_FILE, f"EH0005: {path}: {error}") from error
    if depth > _MAX_NESTING:
        raise AclError(errors.PARSE_FILE, f"EH0005: {path} is nested {depth} deep, at most {_MAX_NESTING}")
    return text


def _depth(value: object) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if children is None else 1 + max((_depth(child) for child in children), default=0)


@api("acl.finalize", anytime=True)
def finalize() -> None:
    """Release ACL; what was not released before is recorded as a leak (real software only logs it [S])."""
    process = state.process
    if process.stage == "new":
        return
    if process.stage != "ready":
        raise AclError(errors.REPEAT_FINALIZE, "EH0003: acl.finalize was called before")
    if threading.current_thread() is not threading.main_thread():
        record("acl.finalize was called outside the main thread")
    for leak in process.leaks():
        record(f"acl.finalize: leaked {leak}")
    busy = [stream for stream in process.handles.all(Stream) if not stream.idle]
    if busy:
        record(f"acl.finalize: {len(busy)} stream(s) were not synchronised")
    process.memory.check_live_guards()
    process.stage, process.references = "finalized", 0


@api("acl.finalize_reference", fails=(0,), anytime=True)
def finalize_reference() -> int:
    """Undo one init; the last one finalizes. Returns how many are left."""
    process = state.process
    if process.stage != "ready":
        raise AclError(errors.REPEAT_FINALIZE, "EH0003: no acl.init is left")
    if process.references > 1:
        process.references -= 1
        return process.references
    finalize()
    return 0


@api("acl.get_version", fails=(0, 0, 0), anytime=True)
def get_version() -> Tuple[int, int, int]:
    """Return the interface version."""
    return 1, 14, 0


@api("acl.get_soc_name", bare=None, anytime=True)
def get_soc_name() -> Optional[str]:
    """Return the chip's full name."""
    return state.process.soc.name if knobs.driver_usable() else None


@api("acl.get_recent_err_msg", bare=None, anytime=True)
def get_recent_err_msg() -> Optional[str]:
    """Return and clear the calling thread's error text."""
    return errors.take_messages()


@api("acl.create_data_buffer", "kk", bare=0)
def create_data_buffer(ptr: int, size: int) -> int:
    """Return a descriptor of ``size`` bytes at ``ptr``; owns nothing."""
    return state.process.handles.add(DataBuffer(ptr, size))


@api("acl.destroy_data_buffer", "k")
def destroy_data_buffer(handle: int) -> None:
    """Free the descriptor."""
    process = state.process
    buffer = process.handles.get(handle, DataBuffer, "acl.destroy_data_buffer")
    process.ledger.check_host(handle, 1, True, "acl.destroy_data_buffer")
    process.handles.remove(handle)
    buffer.handle = 0
    if buffer.users:
        raise violate("acl.destroy_data_buffer: a dataset still holds the buffer; destroy the dataset first")


@api("acl.get_data_buffer_addr", "k", bare=0)
def get_data_buffer_addr(handle: int) -> int:
    """Return the address of the data."""
    return state.process.handles.get(handle, DataBuffer, "acl.get_data_buffer_addr").ptr


@api("acl.get_data_buffer_size", "k", bare=0)
def get_data_buffer_size(handle: int) -> int:
    """Return the low 32 bits of the size (deprecated [D])."""
    return state.process.handles.get(handle, DataBuffer, "acl.get_data_buffer_size").size & 0xFFFFFFFF


@api("acl.get_data_buffer_size_v2", "k", bare=0)
def get_data_buffer_size_v2(handle: int) -> int:
    """Return the size of the data in bytes."""
    return state.process.handles.get(handle, DataBuffer, "acl.get_data_buffer_size_v2").size


@api("acl.update_data_buffer", "kkk")
def update_data_buffer(handle: int, ptr: int, size: int) -> None:
    """Point the descriptor at other memory."""
    buffer = state.process.handles.get(handle, DataBuffer, "acl.update_data_buffer")
    state.process.ledger.check_host(handle, 1, True, "acl.update_data_buffer")
    buffer.ptr, buffer.size = ptr, size


@api("acl.data_type_size", "i", bare=0, anytime=True)
def data_type_size(dtype: int) -> int:
    """Return the bytes of one element, 0 for string and undefined."""
    import numpy as np

    names = {number: name for name, number in ACL_TYPES.items()}
    return np.dtype(names[dtype]).itemsize if dtype in names else 0


@api("acl.app_log", "is", bare=None, anytime=True)
def app_log(level: int, text: str) -> None:
    """Write to the application log: nowhere."""
