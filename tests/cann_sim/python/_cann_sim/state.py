"""What one process has made of ACL: its contexts, handles, devices; who may use what."""

from __future__ import annotations

import atexit
import multiprocessing.util
import os
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Type, TypeVar

from _cann_sim import errors, knobs, soc
from _cann_sim.engine import Engines
from _cann_sim.errors import AclError
from _cann_sim.inject import Injector
from _cann_sim.memory import Memory
from _cann_sim.race import Ledger
from _cann_sim.stream import Stream
from _cann_sim.violation import record, violate

_HANDLE_BASE = 0x3F_0000_1000
_HANDLE_STEP = 0x70
T = TypeVar("T")


@dataclass(eq=False)
class Context:
    """A context: a device and a default stream; ``explicit`` ones come from create_context."""

    device: int
    explicit: bool
    handle: int = 0
    default: Optional[Stream] = None


class Handles:
    """The opaque integers given out, and what they stand for; numbers are never reused."""

    def __init__(self) -> None:
        self._next = _HANDLE_BASE
        self._live: Dict[int, Any] = {}
        self._dead: Dict[int, str] = {}

    def add(self, thing: Any) -> int:
        """Return a new handle for ``thing``."""
        self._next += _HANDLE_STEP
        self._live[self._next] = thing
        thing.handle = self._next
        return self._next

    def get(self, handle: int, kind: Type[T], what: str, gone: int = 0) -> T:
        """Return the live ``kind`` behind ``handle``.

        Raises:
            AclError: null (100000), or destroyed before where real software has a code ``gone`` for that.
            ContractViolation: destroyed before, or a handle of something else.
        """
        if handle == 0:
            raise AclError(errors.INVALID_PARAM, f"EH0002: {what}: argument {kind.__name__.lower()} must not be null.")
        thing = self._live.get(handle)
        if isinstance(thing, kind):
            return thing
        if gone and self._dead.get(handle) == kind.__name__:
            raise AclError(gone, f"EE1017: {what}: the handle has already been destroyed")
        if handle in self._dead:
            raise violate(f"{what}: {handle:#x} is a {self._dead[handle]} that was destroyed")
        raise violate(f"{what}: {handle:#x} is not a handle of a {kind.__name__}")

    def remove(self, handle: int) -> None:
        """Forget a handle; later uses of it are recognised."""
        self._dead[handle] = type(self._live.pop(handle)).__name__

    def all(self, kind: Type[T]) -> List[T]:
        """Return the live things of ``kind``."""
        return [thing for thing in self._live.values() if isinstance(thing, kind)]

    def everything(self) -> List[Any]:
        """Return all live things."""
        return list(self._live.values())


class Executing:
    """Counts the executions that streams have begun and not ended, on one device.

    CANN_SIM_CONCURRENCY names a file that gets a line "device count" at the begin of each.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._lock = threading.Lock()
        self._count = 0

    def __enter__(self) -> None:
        """Begin one."""
        with self._lock:
            self._count += 1
            knobs.append_line("CONCURRENCY", f"{self._number} {self._count}")

    def __exit__(self, *_: object) -> None:
        """End one."""
        with self._lock:
            self._count -= 1


class Device:
    """One opened device."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.references = 0
        self.context: Optional[Context] = None
        self.engines = Engines()
        self.executing = Executing(number)


class Process:
    """The state of ACL in this process."""

    def __init__(self) -> None:
        self.stage = "new"
        self.references = 0
        self.pid = os.getpid()
        self.config = ""
        self.lock = threading.RLock()
        self.ledger = Ledger()
        self.handles = Handles()
        self.memory = Memory()
        self.injector = Injector()
        self.devices: Dict[int, Device] = {}
        self.models: Dict[int, Any] = {}
        self.next_model = 1
        self.local = threading.local()
        self.soc = soc.host_soc()

    def visible_devices(self) -> List[int]:
        """Return the physical devices of this process, by logical id; honours ASCEND_RT_VISIBLE_DEVICES [D]."""
        present = soc.host_devices()
        asked = os.environ.get("ASCEND_RT_VISIBLE_DEVICES")
        if asked is None:
            return list(range(present))
        visible: List[int] = []
        for word in asked.split(","):
            # [D] ascending, no spaces; parsing stops at the first invalid token.
            if not word.isdigit() or int(word) >= present or (visible and int(word) <= visible[-1]):
                break
            visible.append(int(word))
        return visible

    def device(self, number: int) -> Device:
        """Return logical device ``number`` (opened or not)."""
        if not 0 <= number < len(self.visible_devices()):
            count = len(self.visible_devices())
            raise AclError(
                errors.INVALID_DEVICE,
                f"EE1003: Specifying the device used for computation by the current thread failed because value "
                f"{number} for parameter drv devId is invalid. Expected value: [0, {count}).",
            )
        if str(self.visible_devices()[number]) in knobs.words("DEVICES_TAKEN", ","):
            # [D] 207005 RESOURCE_ALLOC_FAIL: "driver, busy device"; that set_device returns it is [I].
            raise AclError(errors.DEVICE_BUSY, f"EL0005: The resources are busy: device {number} is in use")
        return self.devices.setdefault(number, Device(number))

    @property
    def context(self) -> Context:
        """The calling thread's current context.

        Raises:
            AclError: 107002 where the thread has none, or its context was destroyed.
        """
        current: Optional[Context] = getattr(self.local, "context", None)
        if current is None or current.handle == 0:
            raise AclError(errors.CONTEXT_NULL, "EE1001: The argument is invalid. Reason: no context in this thread")
        return current

    @context.setter
    def context(self, context: Optional[Context]) -> None:
        self.local.context = context

    @property
    def current_device(self) -> Optional[int]:
        """The device of the calling thread's context, None without one."""
        current: Optional[Context] = getattr(self.local, "context", None)
        return current.device if current is not None else None

    def open_context(self, device: int, explicit: bool) -> Context:
        """Make a context with its default stream."""
        context = Context(device, explicit)
        handle = self.handles.add(context)
        context.default = Stream(handle, device, self.ledger, self.lock)
        self.handles.add(context.default)
        return context

    def close_context(self, context: Context) -> None:
        """Destroy a context and its default stream."""
        if context.default is not None:
            context.default.stop()
            self.handles.remove(context.default.handle)
        self.handles.remove(context.handle)
        context.handle = 0

    def stream(self, handle: int, what: str, own_context: bool = True) -> Stream:
        """Return a stream of the current context; 0 is the default stream.

        Raises:
            AclError: 107002 without a context, 107003 where the stream is of another one.
        """
        context = self.context
        if handle == 0:
            assert context.default is not None
            return context.default
        stream = self.handles.get(handle, Stream, what)
        if own_context and stream.context != context.handle:
            text = f"EE1010: {what} execution failed because stream does not belong to the current context."
            raise AclError(errors.STREAM_CONTEXT, text)
        return stream

    def leaks(self, device: Optional[int] = None) -> List[str]:
        """Return what is still alive: on one device, or (None) in the whole process with un-reset devices."""
        mine = [thing for thing in self.handles.everything() if device is None or _device_of(thing) == device]
        defaults = {id(context.default) for context in self.handles.all(Context)}
        kinds = Counter(
            type(thing).__name__
            for thing in mine
            if id(thing) not in defaults and not (isinstance(thing, Context) and not thing.explicit)
        )
        found = [f"{count} {kind}(s)" for kind, count in sorted(kinds.items())]
        models = [number for number, model in self.models.items() if device is None or model.device == device]
        found += [f"model {number}" for number in models]
        blocks = [block for block in self.memory.live() if device is None or block.device == device]
        for kind in ("device", "pinned"):
            sizes = [block.size for block in blocks if block.kind == kind]
            if sizes:
                found.append(f"{len(sizes)} block(s) of {kind} memory, {sum(sizes)} bytes")
        if device is None:
            found += [f"device {entry.number} not reset" for entry in self.devices.values() if entry.references]
        return found


def _device_of(thing: Any) -> Optional[int]:
    return getattr(thing, "device", None)


process = Process()


def reset() -> None:
    """Begin anew, as a fresh process would (tests that run in one process)."""
    global process
    process = Process()
    errors.take_messages()


def watch_exit() -> None:
    """Report at the end of this process (multiprocessing's children too) what it left behind."""
    atexit.unregister(_report_exit)
    atexit.register(_report_exit)
    multiprocessing.util.Finalize(None, _report_exit, exitpriority=-100)


def _report_exit() -> None:
    if process.pid != os.getpid() or process.stage != "ready":
        return
    process.stage = "reported"
    left = ["acl.finalize was not called", *process.leaks()]
    record(f"process exit: {'; '.join(left)}")
