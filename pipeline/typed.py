"""Dictionaries from TOML or JSON into dataclasses and back, with every key and type checked."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import reprlib
import types
from typing import Annotated, Any, Callable, Dict, Tuple, Type, TypeVar, Union, get_args, get_origin, get_type_hints

from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.naming import is_plain_name

T = TypeVar("T")
_UNIONS = (Union, getattr(types, "UnionType", Union))
# What an int64 holds: more than any count here, and less than what makes a library's conversion fail.
_LARGEST = (1 << 63) - 1
# What file systems take for a name, in bytes.
_LONGEST_NAME = 255
_LATER = "later"
# Of a list that is empty by default: see :func:`later`.
LATER_LIST: Dict[str, Any] = {_LATER: []}
LATER_NONE: Dict[str, Any] = {_LATER: None}
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a value must be besides its type; ``words`` say what was expected."""

    holds: Callable[[Any], bool]
    words: str


class Checked:
    """A dataclass whose fields must fit together."""

    def contradiction(self) -> str:
        """Return what is impossible about it, empty where nothing is."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Distinct:
    """No two items of a list agree in ``of``; ``words`` say in what."""

    of: Callable[[Any], object]
    words: str


def _is_file_name(name: str) -> bool:
    return is_plain_name(name) and len(os.fsencode(name)) <= _LONGEST_NAME


# A name in a record: what it names lies in the record's own folder, and nothing outside that folder is ever touched.
FileName = Annotated[str, Rule(_is_file_name, "a plain file name")]


def from_dict(cls: Type[T], data: object, where: object, trail: str = "") -> T:
    """Build the dataclass ``cls`` from ``data``, refusing unknown keys, missing keys and wrong types.

    Args:
        cls: A dataclass whose fields are annotated with plain types, dataclasses, lists, tuples or Optional.
        data: What a TOML or JSON parser returned.
        where: The file the data came from, for the message.
        trail: Dotted key that leads to ``data`` inside the file.

    Raises:
        RequestError: naming file, key, what was found and what was expected.
    """
    if not isinstance(data, dict):
        raise RequestError(f"{trail or 'the top level'} is {_say(data)}, expected a table", where)
    fields = _fields(cls)  # type: ignore[arg-type]
    unknown = [key for key in data if key not in fields]
    if unknown:
        raise RequestError(
            f"unknown key {_join(trail, unknown[0])!r}", where, f"expected one of: {', '.join(sorted(fields))}"
        )
    values = {}
    for name, (hint, required) in fields.items():
        if name in data:
            values[name] = _value(hint, data[name], where, f"{trail}.{name}" if trail else name)
        elif required:
            raise RequestError(f"key {_join(trail, name)!r} is missing, expected {_name(hint)}", where)
    made = cls(**values)
    wrong = made.contradiction() if isinstance(made, Checked) else ""
    if wrong:
        raise RequestError(f"{trail or 'the top level'} {wrong}", where)
    return made


def later(default: Any) -> Any:
    """Return a field that :func:`to_dict` leaves out at its default: what was written before it existed stays as is."""
    return dataclasses.field(default=default, metadata={_LATER: default})


def to_dict(value: Any) -> Any:
    """Return dataclasses, tuples and lists below ``value`` as plain JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        found = {field: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {
            field.name: to_dict(item)
            for field, item in found.items()
            if _LATER not in field.metadata or item != field.metadata[_LATER]
        }
    if isinstance(value, dict):
        return {key: to_dict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_dict(item) for item in value]
    return value


@functools.lru_cache(maxsize=None)
def _fields(cls: Any) -> Dict[str, Tuple[Any, bool]]:
    """Return the type of each field and whether it must be given; resolving the hints is what costs most."""
    hints = get_type_hints(cls, include_extras=True)
    none = dataclasses.MISSING
    return {
        field.name: (hints[field.name], field.default is none and field.default_factory is none)
        for field in dataclasses.fields(cls)
    }


def _value(hint: Any, value: object, where: object, key: str) -> Any:
    if type(value) is hint:
        return _bounded(value, where, key)
    origin = get_origin(hint)
    if origin is Annotated:
        return _ruled(hint, value, where, key)
    if hint is Any:
        return value
    if origin in _UNIONS:
        if value is None and type(None) in get_args(hint):
            return None
        (inner,) = (arg for arg in get_args(hint) if arg is not type(None))
        return _value(inner, value, where, key)
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, where, key)  # type: ignore[arg-type]
    if origin in (list, tuple) and isinstance(value, (list, tuple)):
        return _sequence(hint, value, where, key)
    if origin is dict and isinstance(value, dict):
        name_hint, item = get_args(hint)
        return {
            _value(name_hint, str(name), where, f"a key of {key}"): _value(item, entry, where, _join(key, name))
            for name, entry in value.items()
        }
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(_bounded(value, where, key))
    plain = isinstance(hint, type) and isinstance(value, hint)
    if plain and not (hint is int and isinstance(value, bool)):
        return _bounded(value, where, key)
    raise RequestError(f"{key} is {_say(value)}, expected {_name(hint)}", where)


def _bounded(value: Any, where: object, key: str) -> Any:
    """Return a plain value that every later step can take: whole text, finite numbers, integers of 64 bits."""
    if isinstance(value, str):
        # Half of a character of two codes, which JSON can spell and UTF-8 cannot.
        good, words = value.isascii() or value.encode("utf-8", "replace").decode("utf-8") == value, "text"
    elif isinstance(value, float):
        good, words = math.isfinite(value), "a finite number"
    else:
        good, words = not isinstance(value, int) or abs(value) <= _LARGEST, "an integer of 64 bits"
    if not good:
        raise RequestError(f"{key} is {_say(value)}, expected {words}", where)
    return value


def _ruled(hint: Any, value: object, where: object, key: str) -> Any:
    """Return a value of the annotated type if it keeps the rules that the annotation names."""
    plain, *rules = get_args(hint)
    found = _value(plain, value, where, key)
    for rule in rules:
        if isinstance(rule, Distinct):
            _check_distinct(found, rule, where, key)
        elif not rule.holds(found):
            raise RequestError(f"{key} is {_say(value)}, expected {rule.words}", where)
    return found


def _check_distinct(items: Any, rule: Distinct, where: object, key: str) -> None:
    seen = set()
    for index, item in enumerate(items):
        mark = rule.of(item)
        if mark in seen:
            raise RequestError(f"{key}[{index}] has the {rule.words} of an entry before it, {_SHORT.repr(mark)}", where)
        seen.add(mark)


def _sequence(hint: Any, value: Any, where: object, key: str) -> Any:
    args = get_args(hint)
    if args == tuple(map(type, value)) and get_origin(hint) is tuple:
        return tuple(_bounded(item, where, key) for item in value)
    if get_origin(hint) is list:
        return [_value(args[0], item, where, f"{key}[{index}]") for index, item in enumerate(value)]
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_value(args[0], item, where, f"{key}[{index}]") for index, item in enumerate(value))
    if len(args) != len(value):
        raise RequestError(f"{key} has {len(value)} entries, expected {len(args)}", where)
    return tuple(_value(arg, item, where, f"{key}[{index}]") for index, (arg, item) in enumerate(zip(args, value)))


def _join(trail: str, key: object) -> str:
    return f"{trail}.{key}" if trail else str(key)


def _say(value: object) -> str:
    return f"{_SHORT.repr(value)} ({type(value).__name__})"


def _name(hint: Any) -> str:
    words = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}
    if get_origin(hint) is Annotated:
        plain, *rules = get_args(hint)
        return next((rule.words for rule in rules if isinstance(rule, Rule)), _name(plain))
    if hint in words:
        return words[hint]
    if get_origin(hint) in _UNIONS:
        return " or ".join(_name(arg) for arg in get_args(hint) if arg is not type(None))
    if get_origin(hint) in (list, tuple):
        return "a list"
    return "a table"
