"""Memory: allocation and copies."""

from __future__ import annotations

import time

from _cann_sim import copies, errors, state
from _cann_sim.call import api
from _cann_sim.errors import AclError
from _cann_sim.race import Access, Task
from _cann_sim.violation import violate


def _malloc(size: int, what: str) -> int:
    context = state.process.context
    if size == 0:
        raise AclError(
            errors.INVALID_PARAM, "EH0001: Value 0 for size is invalid. Reason: size must be greater than zero."
        )
    return state.process.memory.malloc(size, context.device, context.handle)


@api("acl.rt.malloc", "ki", fails=(0,))
def malloc(size: int, policy: int) -> int:
    """Allocate device memory; an unknown policy is the default one [D]."""
    return _malloc(size, "acl.rt.malloc")


@api("acl.rt.malloc_align32", "ki", fails=(0,))
def malloc_align32(size: int, policy: int) -> int:
    """Allocate device memory, rounded up to 32 bytes only."""
    return _malloc(size, "acl.rt.malloc_align32")


@api("acl.rt.malloc_cached", "ki", fails=(0,))
def malloc_cached(size: int, policy: int) -> int:
    """Allocate cached device memory."""
    return _malloc(size, "acl.rt.malloc_cached")


@api("acl.rt.malloc_host", "k", fails=(0,))
def malloc_host(size: int) -> int:
    """Allocate page-locked host memory."""
    context = state.process.context
    if size == 0:
        raise AclError(
            errors.INVALID_PARAM, "EH0001: Value 0 for size is invalid. Reason: size must be greater than zero."
        )
    return state.process.memory.malloc_host(size, context.device, context.handle)


@api("acl.rt.free", "k")
def free(ptr: int) -> None:
    """Free device memory at once, whatever is pending."""
    _free(ptr, "device", "acl.rt.free")


@api("acl.rt.free_host", "k")
def free_host(ptr: int) -> None:
    """Free page-locked host memory."""
    _free(ptr, "pinned", "acl.rt.free_host")


def _free(ptr: int, kind: str, what: str) -> None:
    process = state.process
    block = process.memory.owned(ptr, kind, what)
    process.context  # noqa: B018 - for its check
    process.ledger.check_host(block.base, block.size, True, what)
    process.memory.free(ptr, kind, what)


@api("acl.rt.memcpy", "kkkki")
def memcpy(dst: int, dst_max: int, src: int, count: int, kind: int) -> None:
    """Copy, and return when it is done."""
    copies.check_copy("acl.rt.memcpy", dst, dst_max, src, count, kind)
    state.process.context  # noqa: B018
    if count:
        copies.copy_now(dst, src, count, kind)


@api("acl.rt.memcpy_async", "kkkkik")
def memcpy_async(dst: int, dst_max: int, src: int, count: int, kind: int, stream: int) -> None:
    """Queue a copy."""
    copies.check_copy("acl.rt.memcpy_async", dst, dst_max, src, count, kind)
    queue = state.process.stream(stream, "acl.rt.memcpy_async")
    if count:
        copies.copy_later(dst, src, count, kind, queue)


@api("acl.rt.memset", "kkik")
def memset(ptr: int, maximum: int, value: int, count: int) -> None:
    """Fill memory, and return when it is done."""
    _check_fill(ptr, maximum, count)
    region = state.process.memory.resolve(ptr, count, "acl.rt.memset")
    state.process.ledger.check_host(ptr, count, True, "acl.rt.memset")
    region.view()[:] = value & 0xFF


@api("acl.rt.memset_async", "kkikk")
def memset_async(ptr: int, maximum: int, value: int, count: int, stream: int) -> None:
    """Queue a fill of device memory."""
    _check_fill(ptr, maximum, count)
    queue = state.process.stream(stream, "acl.rt.memset_async")
    region = state.process.memory.resolve(ptr, count, "acl.rt.memset_async")
    if not region.on_device:
        raise violate(f"acl.rt.memset_async: {region.kind} host memory")

    def work(begin: float) -> float:
        region.view()[:] = value & 0xFF
        return max(begin, time.perf_counter())

    access = Access(ptr, ptr + count, True, "the destination of acl.rt.memset_async")
    queue.submit(Task("memset", work, [access]))


def _check_fill(ptr: int, maximum: int, count: int) -> None:
    state.process.context  # noqa: B018
    if ptr == 0:
        raise AclError(errors.INVALID_PARAM, "EH0002: argument devPtr must not be null.")
    if count > maximum:
        raise AclError(errors.RT_PARAM_INVALID, f"EE1001: count {count} is greater than maxCount {maximum}")
