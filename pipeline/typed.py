"""Dictionaries from TOML or JSON into dataclasses and back, with every key and type checked."""

from __future__ import annotations

import dataclasses
import functools
import types
from typing import Any, Dict, Tuple, Type, TypeVar, Union, get_args, get_origin, get_type_hints

from clip2om.pipeline.errors import RequestError

T = TypeVar("T")
_UNIONS = (Union, getattr(types, "UnionType", Union))


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
    return cls(**values)


def to_dict(value: Any) -> Any:
    """Return dataclasses, tuples and lists below ``value`` as plain JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_dict(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: to_dict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_dict(item) for item in value]
    return value


@functools.lru_cache(maxsize=None)
def _fields(cls: Any) -> Dict[str, Tuple[Any, bool]]:
    """Return the type of each field and whether it must be given; resolving the hints is what costs most."""
    hints = get_type_hints(cls)
    none = dataclasses.MISSING
    return {
        field.name: (hints[field.name], field.default is none and field.default_factory is none)
        for field in dataclasses.fields(cls)
    }


def _value(hint: Any, value: object, where: object, key: str) -> Any:
    if type(value) is hint:
        return value
    origin = get_origin(hint)
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
        item = get_args(hint)[1]
        return {str(name): _value(item, entry, where, _join(key, name)) for name, entry in value.items()}
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    plain = isinstance(hint, type) and isinstance(value, hint)
    if plain and not (hint is int and isinstance(value, bool)):
        return value
    raise RequestError(f"{key} is {_say(value)}, expected {_name(hint)}", where)


def _sequence(hint: Any, value: Any, where: object, key: str) -> Any:
    args = get_args(hint)
    if args == tuple(map(type, value)) and get_origin(hint) is tuple:
        return tuple(value)
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
    return f"{value!r} ({type(value).__name__})"


def _name(hint: Any) -> str:
    words = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}
    if hint in words:
        return words[hint]
    if get_origin(hint) in _UNIONS:
        return " or ".join(_name(arg) for arg in get_args(hint) if arg is not type(None))
    if get_origin(hint) in (list, tuple):
        return "a list"
    return "a table"
