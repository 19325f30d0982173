"""What the error codes of the CANN tools mean: ATC, graph engine, runtime and ACL.

The table is ``ascend_codes.json`` beside this module. Its evidence marks are about the code and its meaning:
D vendor documentation, S public source, O seen in public logs, I inferred. Causes and advice are this project's own.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Union

_TABLE = Path(__file__).with_suffix(".json")
# ATC prints E10001, EZ3003, EC0010, W11001 in every release, only the wording around them changes.
_LETTERS = re.compile(r"\b(E[A-Z]?\d{4,5}|W\d{5})\b")
# An aclError is a bare number in most messages and hexadecimal in some traces (ret: 0x7BC80).
# Not a process id, which stands behind PID: or in GE(69072,python3).
_NUMBERS = re.compile(r"(?<!PID: )(?<![\w.:-])(?<![A-Z]\()(\d{6}|0x[0-9a-fA-F]{4,6})(?![\w.:-]*\w)")
_WARNING = re.compile(r"W1\d{4}")


@dataclass(frozen=True)
class Text:
    """One sentence in English and Chinese."""

    en: str
    zh: str


@dataclass(frozen=True)
class Meaning:
    """What a code says.

    Attributes:
        code: The code in its usual spelling: ``E10016``, ``107002``.
        name: The constant's name where it has one (``CONTEXT_NULL``), else empty.
        meaning: What the tool states with it.
        cause: What usually leads to it here.
        todo: What to try.
        evidence: Where the meaning comes from: D, S, O, I, or several joined by ``+``.
    """

    code: str
    name: str
    meaning: Text
    cause: Text
    todo: Text
    evidence: str

    @property
    def title(self) -> str:
        """Code and name: ``107002 CONTEXT_NULL``."""
        return f"{self.code} {self.name}".rstrip()


def find(code: Union[str, int]) -> Optional[Meaning]:
    """Return what ``code`` (``E10016``, ``e10016``, ``107002``, 107002 or ``0x1a1fa``) means, None if it is unknown."""
    spelled = _spelled(str(code))
    return table().get("W1xxxx" if _WARNING.fullmatch(spelled) else spelled)


def codes_in(text: str) -> List[str]:
    """Return the codes in a log, each once, in order: all of ATC's form, and those numbers that are known aclErrors."""
    found = [(match.start(), match.group()) for match in _LETTERS.finditer(text)]
    numbers = [(match.start(), _spelled(match.group())) for match in _NUMBERS.finditer(text)]
    found += [(start, code) for start, code in numbers if code in table()]
    return list(dict.fromkeys(code for _, code in sorted(found)))


@functools.lru_cache(maxsize=None)
def table() -> Dict[str, Meaning]:
    """Return every known code with its meaning; read once, at first use."""
    return {
        code: Meaning(
            code, name, Text(**entry["meaning"]), Text(**entry["cause"]), Text(**entry["todo"]), entry["evidence"]
        )
        for entry in json.loads(_TABLE.read_text(encoding="utf-8"))
        for code, name in entry["codes"].items()
    }


def _spelled(code: str) -> str:
    code = code.strip()
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", code):
        return str(int(code, 16))
    return code.upper() if code[:1].isalpha() else code
