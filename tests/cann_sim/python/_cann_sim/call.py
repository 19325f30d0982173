"""How every pyACL function is called: argument formats, life cycle, injected failures, return-value shapes."""

from __future__ import annotations

import functools
import numbers
import os
from typing import Any, Callable, Sequence, Tuple

from _cann_sim import errors, knobs, state
from _cann_sim.errors import AclError
from _cann_sim.violation import violate

_WORD = 1 << 64
_HALF = 1 << 32
# A failed synchronisation by time-out has waited for nothing.
_TIMEOUTS = (errors.STREAM_TIMEOUT, errors.EVENT_TIMEOUT)
_NO_BARE = object()
_BAD = object()


def api(
    name: str,
    formats: str = "",
    fails: Tuple[Any, ...] = (),
    bare: Any = _NO_BARE,
    anytime: bool = False,
    end: str = "",
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function a pyACL function.

    Args:
        name: As the caller writes it, e.g. ``acl.rt.malloc``.
        formats: One letter per positional argument, as in CPython's argument parser [S]: k unsigned long, K unsigned
            long long, I unsigned int, i int, f float, s str, S bytes, O anything; those after ``|`` may be left out.
        fails: What precedes the code in the tuple that a failed call returns; () where the code is returned alone.
        bare: What a failed call returns where there is no code at all.
        anytime: May be called before init and after finalize.
        end: Ends the TypeError's text (``!`` for mdl [S]).
    """

    def decorate(body: Callable[..., Any]) -> Callable[..., Any]:
        waits = ".synchronize" in name or name.endswith(".process_report")
        releases = ".synchronize" in name or any(
            word in name for word in (".free", ".destroy", ".unload", ".reset_", ".finalize")
        )

        @functools.wraps(body)
        def call(*args: Any) -> Any:
            values = parse(name, formats, end, args)
            process = state.process
            if not anytime:
                _check_life(process, name)
            injected = process.injector.due(name, process.current_device)
            try:
                if injected and (not releases or injected in _TIMEOUTS):
                    raise AclError(injected, f"E19999: {name} was told to fail")
                result = _guarded(process, body, values, waits)
                # A release that reports a failure has released all the same: the caller cannot do it twice.
                if injected:
                    raise AclError(injected, f"E19999: {name} was told to fail")
            except AclError as error:
                errors.remember(error.text)
                if bare is not _NO_BARE:
                    return bare
                return (*fails, error.code) if fails else error.code
            if bare is not _NO_BARE:
                return result
            if not fails:
                return 0
            return (*result, 0) if len(fails) > 1 else (result, 0)

        return call

    return decorate


def _guarded(process: Any, body: Callable[..., Any], values: Sequence[Any], waits: bool) -> Any:
    if waits:
        return body(*values)
    with process.lock:
        return body(*values)


def _check_life(process: Any, name: str) -> None:
    if process.stage == "new":
        raise violate(f"{name} was called before acl.init")
    if process.stage in ("finalized", "reported"):
        raise violate(f"{name} was called after acl.finalize")
    if process.pid != os.getpid():
        raise violate(f"{name} was called in a process forked after acl.init")
    if knobs.stub_libraries():
        # [D] stubs return 100039: the devlib directories are for compiling only.
        raise AclError(errors.STUB_MODE, "devlib (stub) libraries are on LD_LIBRARY_PATH")


def parse(name: str, formats: str, end: str, args: Sequence[Any]) -> Sequence[Any]:
    """Return the arguments as C would receive them.

    Raises:
        TypeError: wrong number or type [S].
    """
    required, _, optional = formats.partition("|")
    letters = required + optional
    fault = TypeError(f"{name} args parse failed{end}")
    if not len(required) <= len(args) <= len(letters):
        raise fault
    values = [_convert(letter, value) for letter, value in zip(letters, args)]
    if any(value is _BAD for value in values):
        raise fault
    return values


def _convert(letter: str, value: Any) -> Any:
    if letter == "O":
        return value
    if letter == "s":
        return value if isinstance(value, str) else _BAD
    if letter == "S":
        return value if isinstance(value, bytes) else _BAD
    if letter == "f":
        return float(value) if isinstance(value, numbers.Real) else _BAD
    if letter in "kK":
        # [S + CPython] "k" takes Python ints only (numpy.int64 is none) and wraps; so does "K", 64 bits as well.
        return int(value) % _WORD if isinstance(value, int) else _BAD
    if isinstance(value, float) or not hasattr(value, "__index__"):
        return _BAD
    number = int(value.__index__())
    if letter == "I":
        return number % _HALF
    # [S] the binding turns CPython's OverflowError into its own TypeError.
    return number if -(_HALF // 2) <= number < _HALF // 2 else _BAD
