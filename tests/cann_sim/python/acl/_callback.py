"""Host callbacks: queued on a stream, called by the thread that subscribed to the stream's reports."""

from __future__ import annotations

import queue
import threading
from typing import Any, Callable, Dict

from _cann_sim import errors, state
from _cann_sim.call import api
from _cann_sim.errors import AclError
from _cann_sim.race import Task

_REPORTS: Dict[int, queue.Queue] = {}
_SUBSCRIBED: Dict[int, int] = {}


@api("acl.rt.subscribe_report", "kk")
def subscribe_report(thread: int, stream: int) -> None:
    """Let a thread (its threading ident) call what is launched on the stream."""
    found = state.process.stream(stream, "acl.rt.subscribe_report")
    _SUBSCRIBED[found.handle] = thread
    _REPORTS.setdefault(thread, queue.Queue())


@api("acl.rt.unsubscribe_report", "kk")
def unsubscribe_report(thread: int, stream: int) -> None:
    """Undo subscribe_report."""
    found = state.process.stream(stream, "acl.rt.unsubscribe_report")
    if _SUBSCRIBED.pop(found.handle, None) != thread:
        raise AclError(errors.RT_PARAM_INVALID, "EE1001: the thread is not subscribed")


@api("acl.rt.launch_callback", "OOik")
def launch_callback(function: Callable[[Any], None], arguments: Any, block: int, stream: int) -> None:
    """Queue a call; a blocking one (1) holds the stream until it was made."""
    found = state.process.stream(stream, "acl.rt.launch_callback")
    if found.handle not in _SUBSCRIBED:
        raise AclError(errors.RT_PARAM_INVALID, "EE1001: no thread subscribed to the stream's reports")
    reports = _REPORTS[_SUBSCRIBED[found.handle]]

    def work(begin: float) -> float:
        called = threading.Event()
        reports.put((function, arguments, called))
        if block:
            called.wait()
        return begin

    found.submit(Task("callback", work))


@api("acl.rt.process_report", "i")
def process_report(milliseconds: int) -> None:
    """Make the calls that are due in this thread, waiting at most so long for one."""
    reports = _REPORTS.setdefault(threading.get_ident(), queue.Queue())
    try:
        function, arguments, called = reports.get(timeout=None if milliseconds < 0 else milliseconds / 1e3)
    except queue.Empty:
        # [D] 107019 WAIT_TIMEOUT.
        raise AclError(107019, "EE1002: no report") from None
    function(arguments)
    called.set()
