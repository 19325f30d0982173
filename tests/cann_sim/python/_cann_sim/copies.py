"""Copies between host and device: directions, sizes, and what the host sees of them and when."""

from __future__ import annotations

import time
import zlib
from typing import Callable, Optional

import numpy as np

from _cann_sim import errors, knobs, state
from _cann_sim.engine import Engine
from _cann_sim.errors import AclError
from _cann_sim.memory import POISON, Region
from _cann_sim.race import Access, Task
from _cann_sim.stream import Stream
from _cann_sim.violation import violate

_KINDS = ("h2h", "h2d", "d2h", "d2d")
# [S] ACL_MEMCPY_DEFAULT, in the newest: the pointers decide.
_DEFAULT = 4
_ALIGNMENT = 64
_WHOLE = 1 << 20
_SAMPLE = 16 << 10
_SMALL = 64 << 10


def check_copy(what: str, dst: int, dst_max: int, src: int, count: int, kind: int) -> None:
    """Check what real software checks before it looks at the pointers.

    Raises:
        AclError: 100000 for a null pointer or an unknown kind, 107000 for ``count`` above ``dst_max``.
    """
    if dst == 0 or src == 0 or not 0 <= kind <= _DEFAULT:
        raise AclError(errors.INVALID_PARAM, f"EH0001: {what}: dst {dst:#x}, src {src:#x}, kind {kind}")
    if count > dst_max:
        raise AclError(errors.RT_PARAM_INVALID, f"EE1001: {what}: count {count} is greater than destMax {dst_max}")


def resolved(what: str, dst: int, src: int, count: int, kind: int) -> int:
    """Return ``kind``, that of the pointers where it is ACL_MEMCPY_DEFAULT."""
    if kind != _DEFAULT:
        return kind
    target, source = (state.process.memory.resolve(pointer, count, what) for pointer in (dst, src))
    return _KINDS.index(f"{'d' if source.on_device else 'h'}2{'d' if target.on_device else 'h'}")


def regions(what: str, dst: int, src: int, count: int, kind: int) -> tuple:
    """Return destination and source; refuse a kind that contradicts where they are."""
    target = state.process.memory.resolve(dst, count, f"{what} (destination)")
    source = state.process.memory.resolve(src, count, f"{what} (source)")
    if not state.process.memory.unified:
        found = _KINDS.index(f"{'d' if source.on_device else 'h'}2{'d' if target.on_device else 'h'}")
        if found != kind:
            raise violate(
                f"{what}: kind says {_KINDS[kind]}, but the source is {source.kind} and the destination "
                f"{target.kind} memory"
            )
    device = state.process.context.device
    for region in (target, source):
        if region.on_device and region.block is not None and region.block.device != device:
            raise violate(f"{what}: {region.block} is of device {region.block.device}, the context of device {device}")
    return target, source


def copy_now(dst: int, src: int, count: int, kind: int) -> None:
    """Do a synchronous copy; it waits for no stream, so nothing in flight may touch its memory."""
    kind = resolved("acl.rt.memcpy", dst, src, count, kind)
    target, source = regions("acl.rt.memcpy", dst, src, count, kind)
    ledger = state.process.ledger
    ledger.check_host(src, count, False, "acl.rt.memcpy reads its source")
    ledger.check_host(dst, count, True, "acl.rt.memcpy writes its destination")
    work = _mover(target.view(), source.view())
    engine = _engine(kind, state.process.context.device)
    if engine is None:
        work()
    else:
        engine.run(work, time.perf_counter(), hold_gil=True)


def copy_later(dst: int, src: int, count: int, kind: int, stream: Stream) -> None:
    """Queue an asynchronous copy."""
    kind = resolved("acl.rt.memcpy_async", dst, src, count, kind)
    what = f"acl.rt.memcpy_async {_KINDS[kind]}"
    target, source = regions(what, dst, src, count, kind)
    for name, region in (("destination", target), ("source", source)):
        if region.kind == "pageable":
            raise violate(f"{what}: the {name} is pageable host memory, not from acl.rt.malloc_host")
        if region.ptr % _ALIGNMENT:
            raise violate(f"{what}: the {name} {region.ptr:#x} is not aligned to {_ALIGNMENT} bytes")
    if kind == 0:
        # [D] host to host: 207000 on a host with a device card.
        raise AclError(errors.FEATURE_NOT_SUPPORTED, "EE1006: memcpy_async from host to host is not supported")
    engine = _engine(kind, stream.device)
    assert engine is not None
    make = {"h2d": _to_device, "d2h": _to_host}.get(_KINDS[kind], _on_device)
    task = make(target, source, engine, stream)
    task.accesses = [
        Access(src, src + count, False, f"the source of {what}"),
        Access(dst, dst + count, True, f"the destination of {what}"),
    ]
    stream.submit(task)


def _engine(kind: int, device: int) -> Optional[Engine]:
    engines = state.process.device(device).engines
    return (None, engines.h2d, engines.d2h, engines.d2d)[kind]


def _mover(target: np.ndarray, source: np.ndarray) -> Callable[[], None]:
    # Where nothing is computed nobody reads big inputs either, and a measurement of overlap wants the cores free.
    if knobs.flag("NULL_COMPUTE") and source.size > _SMALL:
        return lambda: None
    return lambda: np.copyto(target, source)


def _due(name: str, stream: Stream) -> None:
    code = state.process.injector.due(name, stream.device)
    if code:
        raise AclError(code)


def _to_device(target: Region, source: Region, engine: Engine, stream: Stream) -> Task:
    pending = state.process.ledger.busy(source.ptr, source.count)
    submitted = None if pending else fingerprint(source.view())

    def check(when: str) -> None:
        if submitted is not None and fingerprint(source.view()) != submitted:
            raise violate(f"the host changed the source of a memcpy_async to the device {when}")

    def work(begin: float) -> float:
        _due("task.h2d", stream)
        check("before the copy was done")
        return engine.run(_mover(target.view(), source.view()), begin)

    return Task("h2d", work, finish=lambda: check("before it synchronised"))


def _to_host(target: Region, source: Region, engine: Engine, stream: Stream) -> Task:
    staged = np.empty(source.count, np.uint8)
    state_of = {"done": False}
    if not state.process.ledger.busy(target.ptr, target.count):
        target.view()[:] = POISON

    def work(begin: float) -> float:
        _due("task.d2h", stream)
        target.view()[:] = POISON
        end = engine.run(lambda: np.copyto(staged, source.view()), begin)
        state_of["done"] = True
        return end

    def finish() -> None:
        # Only now: a host that reads earlier has not synchronised, however late it is.
        if not state_of["done"]:
            return
        if not _still_poisoned(target.view()):
            raise violate("the host wrote into the destination of a memcpy_async before it synchronised")
        target.view()[:] = staged

    return Task("d2h", work, finish=finish)


def _on_device(target: Region, source: Region, engine: Engine, stream: Stream) -> Task:
    def work(begin: float) -> float:
        _due("task.d2d", stream)
        return engine.run(lambda: np.copyto(target.view(), source.view()), begin)

    return Task("d2d", work)


def _still_poisoned(view: np.ndarray) -> bool:
    stride = max(1, view.size // _WHOLE)
    return bool((view[::stride] == POISON).all())


def fingerprint(view: np.ndarray) -> int:
    """Return a checksum: of everything up to 1 MiB, of both ends and a sample between them above that."""
    if view.size <= _WHOLE:
        return zlib.crc32(view)
    step = view.size // 512
    parts = (view[:_SAMPLE], view[-_SAMPLE:], np.ascontiguousarray(view[::step]))
    total = 0
    for part in parts:
        total = zlib.crc32(part, total)
    return total
