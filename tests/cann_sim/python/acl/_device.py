"""Devices and contexts ([D] and [S] as section 3.3 of the contract tells them apart)."""

from __future__ import annotations

from typing import Tuple

from _cann_sim import errors, knobs, state
from _cann_sim.call import api
from _cann_sim.errors import AclError
from _cann_sim.state import Context
from _cann_sim.stream import Stream
from _cann_sim.violation import violate


# [D] "Restrictions: None": a cluster manager counts devices without acl.init.
@api("acl.rt.get_device_count", fails=(0,), anytime=True)
def get_device_count() -> int:
    """Return the number of visible devices."""
    count = len(state.process.visible_devices())
    if count == 0:
        # 207004 NO_DEVICE [I].
        raise AclError(207004, "EL0002: no device")
    return count


@api("acl.rt.set_device", "i")
def set_device(number: int) -> None:
    """Open a device and make its default context current in this thread; counted."""
    process = state.process
    device = process.device(number)
    if device.context is None:
        device.context = process.open_context(number, explicit=False)
    device.references += 1
    process.context = device.context


@api("acl.rt.reset_device", "i")
def reset_device(number: int) -> None:
    """Undo one set_device; the last one frees the default context and stream."""
    device = state.process.device(number)
    if device.references == 0:
        # One more reset than set: 107002/107000-class [I].
        raise AclError(errors.RT_PARAM_INVALID, f"EE1001: device {number} is not set")
    device.references -= 1
    if device.references == 0:
        _close(number)


@api("acl.rt.reset_device_force", "i")
def reset_device_force(number: int) -> None:
    """Close a device whatever its count."""
    device = state.process.device(number)
    if device.references == 0:
        raise AclError(errors.RT_PARAM_INVALID, f"EE1001: device {number} is not set")
    device.references = 0
    _close(number)


def _close(number: int) -> None:
    process = state.process
    device = process.device(number)
    assert device.context is not None
    leaks = process.leaks(number)
    default = device.context.default
    assert default is not None
    default.wait(default.submitted)
    process.ledger.settle(default.clock)
    process.close_context(device.context)
    device.context = None
    if leaks:
        raise violate(f"acl.rt.reset_device({number}) while alive: {'; '.join(leaks)}")


@api("acl.rt.get_device", fails=(0,))
def get_device() -> int:
    """Return the device of the current context."""
    return state.process.context.device


@api("acl.rt.get_run_mode", fails=(0,))
def get_run_mode() -> int:
    """Return ACL_HOST (1), or ACL_DEVICE (0) with CANN_SIM_RUN_MODE=0."""
    return int(knobs.text("RUN_MODE", "1"))


@api("acl.rt.create_context", "i", fails=(0,))
def create_context(number: int) -> int:
    """Make a context and make it current in this thread."""
    process = state.process
    process.device(number)
    process.context = process.open_context(number, explicit=True)
    return process.context.handle


@api("acl.rt.set_context", "k")
def set_context(handle: int) -> None:
    """Make a context current in this thread."""
    process = state.process
    process.context = process.handles.get(handle, Context, "acl.rt.set_context", gone=errors.CONTEXT_NULL)


@api("acl.rt.get_context", fails=(0,))
def get_context() -> int:
    """Return the current context."""
    return state.process.context.handle


@api("acl.rt.destroy_context", "k")
def destroy_context(handle: int) -> None:
    """Destroy a context that create_context made."""
    process = state.process
    context = process.handles.get(handle, Context, "acl.rt.destroy_context", gone=errors.CONTEXT_NULL)
    if not context.explicit:
        raise AclError(errors.CONTEXT_NULL, "EE1017: Context destruction failed: it is a default context")
    streams = [s for s in process.handles.all(Stream) if s.context == handle and s is not context.default]
    models = [number for number, model in process.models.items() if model.context == handle]
    default = context.default
    assert default is not None
    idle = default.idle
    process.close_context(context)
    if streams or models:
        raise violate(f"acl.rt.destroy_context: {len(streams)} stream(s) and models {models} of it are alive")
    if not idle:
        raise violate("acl.rt.destroy_context: its default stream was not synchronised")


@api("acl.rt.get_mem_info", "i", fails=(0, 0))
def get_mem_info(attribute: int) -> Tuple[int, int]:
    """Return free and total bytes of the current device; attributes that it lacks are 0, 0."""
    memory = state.process.memory
    device = state.process.context.device
    # [D] 0 DDR, 1 HBM (redirected to DDR on chips without HBM), 4 and 5 HBM only.
    if attribute in (2, 3) or (attribute in (4, 5) and state.process.soc.family not in ("A2", "A3", "910")):
        return 0, 0
    return memory.budget - memory.used(device), memory.budget


@api("acl.rt.set_op_wait_timeout", "I")
def set_op_wait_timeout(seconds: int) -> None:
    """Set how long streams wait for events: nothing waits that long here."""
    state.process.context  # noqa: B018 - for its check


@api("acl.rt.set_op_execute_timeout", "I")
def set_op_execute_timeout(seconds: int) -> None:
    """Set how long an operator may run: none runs that long here."""
    state.process.context  # noqa: B018
