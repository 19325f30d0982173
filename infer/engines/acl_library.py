"""pyACL with its return codes turned into errors, and everything it hands out given back in the documented order.

pyACL raises nothing: functions return a code alone, or last in a tuple, and a few getters return a bare value. A
caller here says which of the three a function is.
"""

from __future__ import annotations

import functools
import time
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Callable, Dict, List, Optional, Tuple

from clip2om.infer.engines.base import EngineMissingError
from clip2om.infer.engines.om import SET_ENV, library_remedy
from clip2om.pipeline.ascend_codes import find
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.undisturbed import leave_at_once, undisturbed

_LOG = "look at ~/ascend/log/debug/plog"
_REPEAT_INITIALIZE = 100002
_STREAM_TIMEOUT = 507046
# How long one batch may take, and how long Python may be deaf meanwhile.
LONGEST_S = 180
_SLICE_MS = 1000
_HUNG = "see npu-smi info; reset the device (npu-smi set -t reset -i ID -c CHIP), then run again to resume"
_LONGEST = 240

# What is given back with which function, in the order that the documentation prescribes: descriptors before the
# memory they describe, models before the memory they were loaded into, the device and the library last.
_RELEASES: Dict[str, str] = {
    "dataset": "mdl.destroy_dataset",
    "data buffer": "destroy_data_buffer",
    "description": "mdl.destroy_desc",
    "model": "mdl.unload",
    "device memory": "rt.free",
    "page-locked memory": "rt.free_host",
    "event": "rt.destroy_event",
    "stream": "rt.destroy_stream",
    "device": "rt.reset_device",
}


def load_module() -> Any:
    """Import pyACL.

    Raises:
        EngineMissingError: there is none, one of the libraries below it is missing, or it is another package.
    """
    try:
        import acl  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise EngineMissingError(f"pyACL cannot be imported ({error})", "--engine acl", _import_remedy(error)) from None
    if not hasattr(acl, "rt"):
        raise EngineMissingError(
            "is another package of the name acl, not pyACL",
            getattr(acl, "__file__", "acl"),
            f"pip uninstall acl pylibacl, then {SET_ENV}",
        )
    return acl


def _import_remedy(error: ImportError) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"{SET_ENV}; where PYTHONPATH is set, prepend to it: export PYTHONPATH=DIR:$PYTHONPATH"
    return library_remedy(str(error)) or SET_ENV


class AclError(RequestError):
    """A pyACL function failed, with an aclError where it has one."""

    code = 0


class HungError(AclError):
    """The device does not answer any more: nothing that waits for it may be called."""


class Library:
    """The functions of pyACL by name (``rt.malloc``), and errors that say which one failed, why, and what to do."""

    def __init__(self, module: Any, where: object) -> None:
        self._module = module
        self._where = where
        self._functions: Dict[str, Callable[..., Any]] = {}
        self._has_timeout: Optional[bool] = None

    def act(self, name: str, *args: Any) -> None:
        """Call a function that returns its code alone.

        Raises:
            AclError: the code is not 0.
        """
        self._check(name, self._function(name)(*args))

    def take(self, name: str, *args: Any) -> Any:
        """Call a function that returns a value and a code (or several values: a tuple); return the value.

        Raises:
            AclError: the code is not 0.
        """
        *values, code = self._function(name)(*args)
        self._check(name, code)
        return values[0] if len(values) == 1 else tuple(values)

    def ask(self, name: str, *args: Any, bad: Any = 0) -> Any:
        """Call a function that returns a bare value, ``bad`` where it fails.

        Raises:
            AclError: it is ``bad``.
        """
        value = self._function(name)(*args)
        if value == bad or value is None:
            raise AclError(f"acl.{name} failed{self._said()}", self._where, _LOG)
        return value

    def synchronize(self, stream: int) -> None:
        """Wait for everything that was given to a stream.

        Where CANN has a wait with a time-out, it is asked again and again, so that this process hears signals
        meanwhile and does not wait for ever; where it has none, another thread waits.

        Raises:
            HungError: the device has not finished in any reasonable time.
            AclError: a task failed.
        """
        if self._has_timeout is None:
            self._has_timeout = hasattr(self._module.rt, "synchronize_stream_with_timeout")
        if not (self._wait_in_slices if self._has_timeout else self._wait_aside)(stream):
            raise HungError(f"the device has not finished a batch within {LONGEST_S} s", self._where, _HUNG)

    def _wait_in_slices(self, stream: int) -> bool:
        """Return whether the stream became idle within :data:`LONGEST_S`."""
        deadline = time.monotonic() + LONGEST_S
        while time.monotonic() < deadline:
            try:
                self.act("rt.synchronize_stream_with_timeout", stream, _SLICE_MS)
                return True
            except AclError as error:
                if error.code != _STREAM_TIMEOUT:
                    raise
        return False

    def _wait_aside(self, stream: int) -> bool:
        """The same with the wait that has no time-out: Python hears no signal until a call into C has returned."""
        context = self.take("rt.get_context")
        ended: "SimpleQueue[Optional[AclError]]" = SimpleQueue()

        def wait() -> None:
            try:
                self.act("rt.set_context", context)
                self.act("rt.synchronize_stream", stream)
                ended.put(None)
            except AclError as error:
                ended.put(error)

        Thread(target=wait, name="synchronize", daemon=True).start()
        try:
            failure = ended.get(timeout=LONGEST_S)
        except Empty:
            return False
        if failure is not None:
            raise failure
        return True

    def _function(self, name: str) -> Callable[..., Any]:
        if name not in self._functions:
            found: Any = self._module
            for part in name.split("."):
                found = getattr(found, part)
            self._functions[name] = found
        return self._functions[name]

    def _check(self, name: str, code: int) -> None:
        if code:
            said = self._said()
            known = find(code, said, "run")
            means = f"{known.title}: {known.meaning.en} (usually {known.cause.en})" if known else str(code)
            todo = known.todo.en if known else _LOG
            error = AclError(f"acl.{name} failed with {means}{said}", self._where, todo)
            error.code = code
            raise error

    def _said(self) -> str:
        """Return the runtime's own words, if it has any; asking for them clears them."""
        text = self._module.get_recent_err_msg() or ""
        words = " ".join(text.split())
        return f"; ACL says: {words[:_LONGEST]}{'...' if len(words) > _LONGEST else ''}" if words else ""


class Resources:
    """What was taken from pyACL and has to go back to it.

    Every method that takes something notes it in the same step, undisturbed by Ctrl-C.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._held: Dict[str, List[Any]] = {kind: [] for kind in _RELEASES}
        self._initialized = False

    def initialize(self, module: Any) -> None:
        """Initialise ACL; where another part of the process has done so, it is that part's to finalize."""
        with undisturbed():
            code = module.init()
            if code != _REPEAT_INITIALIZE:
                self._library._check("init", code)
                self._initialized = True

    def set_device(self, device: int) -> None:
        """Open a device for this thread."""
        with undisturbed():
            self._library.act("rt.set_device", device)
            self._held["device"].append(device)

    def take(self, kind: str, name: str, *args: Any) -> int:
        """Return what ``name`` hands out beside a code, noted as a ``kind``."""
        return self._note(kind, lambda: self._library.take(name, *args))

    def ask(self, kind: str, name: str, *args: Any) -> int:
        """Return what ``name`` hands out alone, noted as a ``kind``."""
        return self._note(kind, lambda: self._library.ask(name, *args))

    def dataset(self, buffers: List[Tuple[int, int]]) -> int:
        """Return a dataset of data buffers, one per (address, bytes)."""
        dataset = self.ask("dataset", "mdl.create_dataset")
        for address, size in buffers:
            buffer = self.ask("data buffer", "create_data_buffer", address, size)
            self._library.take("mdl.add_dataset_buffer", dataset, buffer)
        return dataset

    def release(self) -> None:
        """Wait for what still runs, then give everything back; goes on where something fails.

        Raises:
            AclError: the first failure, after everything was tried.
        """
        failures: List[AclError] = []
        with undisturbed(leave_at_once, leaving=True):
            for stream in self._held["stream"]:
                self._attempt(failures, functools.partial(self._library.synchronize, stream))
            for kind, name in _RELEASES.items():
                held = self._held[kind]
                while held:
                    self._try(failures, name, held.pop())
            if self._initialized:
                self._initialized = False
                self._try(failures, "finalize")
        if failures:
            raise failures[0]

    def _note(self, kind: str, give: Callable[[], int]) -> int:
        with undisturbed():
            handle = give()
            self._held[kind].append(handle)
        return handle

    def _try(self, failures: List[AclError], name: str, *args: Any) -> None:
        self._attempt(failures, lambda: self._library.act(name, *args))

    @staticmethod
    def _attempt(failures: List[AclError], give: Callable[[], None]) -> None:
        try:
            give()
        except AclError as error:
            failures.append(error)
