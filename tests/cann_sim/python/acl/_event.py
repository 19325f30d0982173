"""Events."""

from __future__ import annotations

from typing import Optional

from _cann_sim import errors, knobs, state
from _cann_sim.call import api
from _cann_sim.errors import AclError
from _cann_sim.race import Access, Task
from _cann_sim.stream import EVENT_SYNC, EVENT_TIME, Event, Stream
from _cann_sim.violation import violate, warn


@api("acl.rt.create_event", fails=(0,))
def create_event() -> int:
    """Make an event that streams can wait for and that has a time; each record takes a new place [S]."""
    return _create(EVENT_SYNC | EVENT_TIME, fresh=True)


@api("acl.rt.create_event_with_flag", "I", fails=(0,))
def create_event_with_flag(flag: int) -> int:
    """Make an event: SYNC 1, CAPTURE_STREAM_PROGRESS 2, TIME_LINE 8."""
    if flag == 0 or flag & ~(EVENT_SYNC | 2 | EVENT_TIME):
        raise AclError(errors.RT_PARAM_INVALID, f"EE1001: flag {flag}")
    if flag & EVENT_SYNC and knobs.flag("OLD_EVENTS"):
        # [D] CANN 5.0.4 takes TIME_LINE alone; the code is [I].
        raise AclError(errors.RT_PARAM_INVALID, f"EE1001: flag {flag} is not supported, expected 8")
    return _create(flag, fresh=False)


def _create(flag: int, fresh: bool) -> int:
    process = state.process
    device = process.context.device
    if sum(event.device == device for event in process.handles.all(Event)) >= process.soc.events:
        raise AclError(errors.NO_EVENT, f"EE1011: device {device} has no event left")
    return process.handles.add(Event(device, flag, fresh))


def _event(handle: int, what: str) -> Event:
    return state.process.handles.get(handle, Event, what)


@api("acl.rt.record_event", "kk")
def record_event(handle: int, stream_handle: int) -> None:
    """Record what the stream has been given so far."""
    event = _event(handle, "acl.rt.record_event")
    stream = _own_stream(event, stream_handle, "acl.rt.record_event")
    access = Access(handle, handle + 1, False, "a record of an event")
    stream.submit(Task("record", event.recorder, [access], always=True))
    event.recorded(stream)


@api("acl.rt.stream_wait_event", "kk")
def stream_wait_event(stream_handle: int, handle: int) -> None:
    """Hold a stream until the event's latest record was reached."""
    event = _event(handle, "acl.rt.stream_wait_event")
    stream = _own_stream(event, stream_handle, "acl.rt.stream_wait_event")
    if not event.flag & EVENT_SYNC:
        raise AclError(errors.RT_PARAM_INVALID, "EE1001: the event has no SYNC flag")
    source, seq = _recorded(event, "acl.rt.stream_wait_event"), event.seq
    access = Access(handle, handle + 1, False, "a wait for an event")
    if event.fresh:

        def work(begin: float) -> float:
            source.wait(seq)
            return max(begin, event.stamp)

        stream.learn(event.clock)
        stream.submit(Task("wait", work, [access], always=True))
        return
    if not event.records:
        raise violate("acl.rt.stream_wait_event: the event was reset after its last record: the wait would never end")
    if event.records > 1:
        # [S] It passes at once where the flag is still set from before, so nothing is ordered by it.
        warn("acl.rt.stream_wait_event: the event may be set since an earlier record: the wait may pass at once")
    elif not _knows(stream, event):
        raise violate("acl.rt.stream_wait_event: the event's reset is not done for certain: the wait may pass at once")
    else:
        stream.learn(event.clock)
    stream.submit(Task("wait", event.waiter, [access], always=True))


def _knows(stream: Stream, event: Event) -> bool:
    """Tell whether the event's latest reset is done for certain before anything that is given to ``stream`` now."""
    if event.cleared is None:
        return True
    where, seq = event.cleared
    ledger = state.process.ledger
    return where == stream.handle or max(stream.clock.get(where, 0), ledger.host.get(where, 0)) >= seq


def _own_stream(event: Event, handle: int, what: str) -> Stream:
    stream = state.process.stream(handle, what)
    if stream.device != event.device:
        raise AclError(errors.STREAM_CONTEXT, f"EE1010: {what}: event and stream are of different devices")
    return stream


def _recorded(event: Event, what: str) -> Stream:
    if event.stream is None:
        # Returns at once or hangs, by version [I].
        raise violate(f"{what}: the event was never recorded")
    return event.stream


@api("acl.rt.reset_event", "kk")
def reset_event(handle: int, stream_handle: int) -> None:
    """Clear an event with the SYNC flag, as a task of the stream."""
    event = _event(handle, "acl.rt.reset_event")
    stream = _own_stream(event, stream_handle, "acl.rt.reset_event")
    if event.fresh or not event.flag & EVENT_SYNC:
        raise AclError(errors.FEATURE_NOT_SUPPORTED, "EE1001: the event has no SYNC flag")
    # A wait or record that it overtakes, or that overtakes it, sees another state than was meant.
    access = Access(handle, handle + 1, True, "a reset of an event")
    stream.submit(Task("reset", event.clearer, [access], always=True))
    event.reset(stream)


@api("acl.rt.synchronize_event", "k")
def synchronize_event(handle: int) -> None:
    """Wait until the event's latest record was reached."""
    _synchronize(_event(handle, "acl.rt.synchronize_event"), None)


@api("acl.rt.synchronize_event_with_timeout", "ki")
def synchronize_event_with_timeout(handle: int, milliseconds: int) -> None:
    """Wait for an event, at most so long; -1 is forever."""
    if milliseconds == 0 or milliseconds < -1:
        raise AclError(errors.RT_PARAM_INVALID, f"EE1001: timeout {milliseconds}")
    seconds = None if milliseconds == -1 else milliseconds / 1e3
    _synchronize(_event(handle, "acl.rt.synchronize_event_with_timeout"), seconds)


def _synchronize(event: Event, seconds: Optional[float]) -> None:
    stream = _recorded(event, "acl.rt.synchronize_event")
    state.process.context  # noqa: B018 - for its check
    clock = event.clock
    if not stream.wait(event.seq, seconds):
        raise AclError(errors.EVENT_TIMEOUT, "EE1002: the event timed out")
    with state.process.lock:
        state.process.ledger.settle(clock)
    stream.raise_failure()


@api("acl.rt.query_event", "k", fails=(0,))
def query_event(handle: int) -> int:
    """Return 0 for complete, 1 for not ready (deprecated [D])."""
    return 0 if _poll(_event(handle, "acl.rt.query_event")) else 1


@api("acl.rt.query_event_status", "k", fails=(0,))
def query_event_status(handle: int) -> int:
    """Return 1 for complete, 0 for not ready: the other way round than query_event [S]."""
    return 1 if _poll(_event(handle, "acl.rt.query_event_status")) else 0


def _poll(event: Event) -> bool:
    if event.complete and event.stream is not None:
        state.process.ledger.settle(event.clock)
    return event.complete


@api("acl.rt.event_elapsed_time", "kk", fails=(0.0,))
def event_elapsed_time(start: int, end: int) -> float:
    """Return the milliseconds between two events of one stream."""
    events = [_event(handle, "acl.rt.event_elapsed_time") for handle in (start, end)]
    if any(event.stream is None for event in events):
        raise AclError(errors.RT_INTERNAL, "EE9999: the event was never recorded")
    if any(not event.complete or not event.flag & EVENT_TIME for event in events):
        raise AclError(errors.EVENT_TIMESTAMP, "EE1001: the event is not complete or has no timestamp")
    if events[0].stream is not events[1].stream:
        raise violate("acl.rt.event_elapsed_time: the events were recorded on different streams")
    elapsed = (events[1].stamp - events[0].stamp) * 1e3
    if elapsed < 0:
        raise AclError(errors.EVENT_REVERSAL, "EE1001: the end event is before the start event")
    return elapsed


@api("acl.rt.destroy_event", "k")
def destroy_event(handle: int) -> None:
    """Destroy an event that nothing waits for."""
    _event(handle, "acl.rt.destroy_event")
    state.process.ledger.check_host(handle, 1, True, "acl.rt.destroy_event")
    state.process.handles.remove(handle)
