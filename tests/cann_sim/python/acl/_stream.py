"""Streams: creation, destruction, synchronisation."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import Iterator, Optional

from _cann_sim import errors, state
from _cann_sim.call import api
from _cann_sim.errors import AclError
from _cann_sim.state import Context
from _cann_sim.stream import Stream
from _cann_sim.violation import violate


@api("acl.rt.create_stream", fails=(0,))
def create_stream() -> int:
    """Make a stream of the current context."""
    return _create()


@api("acl.rt.create_stream_with_config", "ii", fails=(0,))
def create_stream_with_config(priority: int, flag: int) -> int:
    """Make a stream; flags FAST_LAUNCH 1 and FAST_SYNC 2."""
    if flag & ~3:
        raise AclError(errors.RT_PARAM_INVALID, f"EE1001: flag {flag}")
    return _create()


def _create() -> int:
    process = state.process
    context = process.context
    # [D] the maximum includes default streams.
    if sum(stream.device == context.device for stream in process.handles.all(Stream)) >= process.soc.streams:
        raise AclError(errors.NO_STREAM, f"EE1011: device {context.device} has no stream left")
    stream = Stream(context.handle, context.device, process.ledger, process.lock)
    return process.handles.add(stream)


@api("acl.rt.destroy_stream", "k")
def destroy_stream(handle: int) -> None:
    """Destroy a synchronised stream."""
    process = state.process
    if handle == 0:
        raise AclError(errors.INVALID_PARAM, "EH0002: argument stream must not be null.")
    stream = process.stream(handle, "acl.rt.destroy_stream")
    if any(context.default is stream for context in process.handles.all(Context)):
        raise violate("acl.rt.destroy_stream: a default stream")
    idle = stream.idle
    stream.stop()
    process.ledger.settle(stream.clock)
    process.handles.remove(handle)
    if not idle:
        raise violate("acl.rt.destroy_stream: the stream was not synchronised before")


@api("acl.rt.synchronize_stream", "k")
def synchronize_stream(handle: int) -> None:
    """Wait for a stream; errors of its tasks appear here."""
    _synchronize(_find(handle, "acl.rt.synchronize_stream"), None)


@api("acl.rt.synchronize_stream_with_timeout", "ki")
def synchronize_stream_with_timeout(handle: int, milliseconds: int) -> None:
    """Wait for a stream, at most so long; -1 is forever."""
    if milliseconds == 0 or milliseconds < -1:
        raise AclError(errors.RT_PARAM_INVALID, f"EE1001: timeout {milliseconds}")
    seconds = None if milliseconds == -1 else milliseconds / 1e3
    _synchronize(_find(handle, "acl.rt.synchronize_stream_with_timeout"), seconds)


def _find(handle: int, what: str) -> Stream:
    process = state.process
    stream = process.stream(handle, what, own_context=False)
    if stream.context != process.context.handle:
        # The documentation forbids it, the newest runtime switches the context silently [S].
        raise violate(f"{what}: the stream is of another context")
    return stream


def _synchronize(stream: Stream, seconds: Optional[float]) -> None:
    clock = stream.clock
    with _inside_c():
        idle = stream.wait(stream.submitted, seconds)
    if not idle:
        raise AclError(errors.STREAM_TIMEOUT, f"EE1002: stream {stream.handle:#x} timed out")
    with state.process.lock:
        state.process.ledger.settle(clock)
    stream.raise_failure()


@contextlib.contextmanager
def _inside_c() -> Iterator[None]:
    """Be a call into C: no handler of Python's runs before it has returned."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


@api("acl.rt.synchronize_device")
def synchronize_device() -> None:
    """Wait for all streams of the current device."""
    device = state.process.context.device
    streams = [stream for stream in state.process.handles.all(Stream) if stream.device == device]
    for stream in streams:
        stream.wait(stream.submitted)
    with state.process.lock:
        for stream in sorted(streams, key=lambda entry: entry.ended or time.perf_counter()):
            state.process.ledger.settle(stream.clock)
    for stream in streams:
        stream.raise_failure()
