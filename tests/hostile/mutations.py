"""Ways to damage a file: bytes at random, and values that parsers, conversions and path rules stumble over."""

from __future__ import annotations

import json
import random
import re
from typing import Any, Callable, List, Tuple

NASTY: Tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 1.5, 1e308, float("nan"), float("inf"), -0.0),
    *("", "..", "../precious", "/etc/hostname", "a\0b", "a\nb", "\ud800", "\u202egnp.exe", "x" * 5000, "1" * 5000),
    *([], {}, [[]], [None], {"": None}, [0] * 3, "NaN", b"\xff".decode("latin-1")),
)
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_PIECES = (
    *(b"[" * 2000, b"{" * 2000, b'{"a":' * 1500, b"9" * 5000, b"1e999", b"NaN", b"\xff\xfe", b"\0", b"\x80", b"-"),
    *(b"../", b"\xe2\x80\xae", b'"\\ud800"', b"\r\n", b"'", b'"', b"=", b"\x7f" * 9, b"\xff" * 16, b"\0" * 64),
)


def flip(data: bytes, dice: random.Random) -> bytes:
    """Change a few bytes."""
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        if out:
            out[dice.randrange(len(out))] = dice.randrange(256)
    return bytes(out)


def cut(data: bytes, dice: random.Random) -> bytes:
    """Keep the beginning."""
    return data[: dice.randrange(len(data) + 1)]


def drop(data: bytes, dice: random.Random) -> bytes:
    """Leave a part out, or say it twice."""
    first, last = sorted(dice.randrange(len(data) + 1) for _ in range(2))
    return data[:first] + data[last:] if dice.random() < 0.5 else data[:last] + data[first:]


def put(data: bytes, dice: random.Random) -> bytes:
    """Insert what is hard to parse."""
    at = dice.randrange(len(data) + 1)
    return data[:at] + dice.choice(_PIECES) + data[at + dice.choice((0, 0, 1, 8)) :]


def number(data: bytes, dice: random.Random) -> bytes:
    """Replace a number by another one."""
    found = list(_NUMBER.finditer(data[: 1 << 16]))
    if not found:
        return flip(data, dice)
    place = dice.choice(found)
    text = dice.choice((b"0", b"-1", b"9" * 30, b"9" * 5000, b"1e400", b"2147483648", b"0.5", b"", b"65535", b"00"))
    return data[: place.start()] + text + data[place.end() :]


BYTES: Tuple[Callable[[bytes, random.Random], bytes], ...] = (flip, flip, cut, drop, put, number)


def damaged(data: bytes, dice: random.Random) -> bytes:
    """Return the bytes of a file, damaged; JSON often as another, well-formed value."""
    if data[:1] in (b"{", b"[") and dice.random() < 0.6:
        try:
            return _changed(json.loads(data), dice)
        except ValueError:
            pass
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        data = dice.choice(BYTES)(data, dice)
    return data


def _changed(value: Any, dice: random.Random) -> bytes:
    places: List[Tuple[Any, Any]] = []
    stack = [value]
    while stack:
        item = stack.pop()
        keys = list(item) if isinstance(item, dict) else range(len(item))
        places += [(item, key) for key in keys]
        stack += [item[key] for key in keys if isinstance(item[key], (dict, list))]
    for _ in range(dice.choice((1, 1, 2))):
        if not places:
            break
        item, key = dice.choice(places)
        act = dice.random()
        if act < 0.75:
            item[key] = dice.choice(NASTY)
        elif isinstance(item, dict) and act < 0.9:
            item.pop(key, None)
        elif isinstance(item, dict):
            item[str(dice.choice(NASTY))] = item.pop(key, None)
        else:
            item.append(dice.choice((item[key] if key < len(item) else None, dice.choice(NASTY))))
    return json.dumps(value).encode("utf-8", "replace")
