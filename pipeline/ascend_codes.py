"""What the error codes of the CANN tools mean: ATC, graph engine, runtime and ACL.

The table is ``ascend_codes.json`` beside this module. Its evidence marks are about the code and its meaning:
D vendor documentation, S public source, O seen in public logs, I inferred. Causes and advice are this project's own.

One code may have several entries: ``when`` is a pattern of the words that stand with it (E10001 names a parameter, and
the remedy depends on which), ``stage`` is ``run`` for what holds where a model runs rather than where ATC compiles.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple, Union

_TABLE = Path(__file__).with_suffix(".json")
# ATC prints E10001, EZ3003, EC0010, W11001 in every release, only the wording around them changes.
_LETTERS = re.compile(r"\b(E[A-Z]?\d{4,5}|W\d{5})\b")
# An aclError is a bare number in most messages and hexadecimal in some traces (ret: 0x7BC80).
# Not a process id, which stands behind PID: or in GE(69072,python3).
_NUMBERS = re.compile(r"(?<!PID: )(?<![\w.:-])(?<![A-Z]\()(\d{6}|0x[0-9a-fA-F]{4,6})(?![\w.:-]*\w)")
# Codes of no meaning of their own: what stands beside them says what failed.
GENERAL = ("E19999", "EZ9999", "E89999", "EE9999")
_EXPLAINED = 4
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
        when: Pattern of the words beside the code; empty where they do not matter.
        stage: ``run``, or empty for all stages.
    """

    code: str
    name: str
    meaning: Text
    cause: Text
    todo: Text
    evidence: str
    when: str = ""
    stage: str = ""

    @property
    def title(self) -> str:
        """Code and name: ``107002 CONTEXT_NULL``."""
        return f"{self.code} {self.name}".rstrip()


def find(code: Union[str, int], said: str = "", stage: str = "") -> Optional[Meaning]:
    """Return what ``code`` means, None if it is unknown.

    Args:
        code: ``E10016``, ``e10016``, ``107002``, 107002 or ``0x1a1fa``.
        said: The words that stand with it, which may decide between several meanings: see :func:`words_with`.
        stage: ``run`` where a model runs.
    """
    spelled = _spelled(str(code))
    spelled = "W1xxxx" if _WARNING.fullmatch(spelled) else spelled
    for meaning in _special().get(spelled, ()):
        if meaning.stage in ("", stage) and re.search(meaning.when, said):
            return meaning
    return table().get(spelled)


def words_with(code: str, text: str) -> str:
    """Return the lines of a log that name ``code``, each with those after it that may explain it."""
    lines = text.splitlines()
    named = [index for index, line in enumerate(lines) if code in codes_in(line)]
    return "\n".join(line for index in named for line in lines[index : index + _EXPLAINED])


def codes_in(text: str) -> List[str]:
    """Return the codes in a log, each once, in order: all of ATC's form, and those numbers that are known aclErrors."""
    found = [(match.start(), match.group()) for match in _LETTERS.finditer(text)]
    numbers = [(match.start(), _spelled(match.group())) for match in _NUMBERS.finditer(text)]
    found += [(start, code) for start, code in numbers if code in table()]
    return list(dict.fromkeys(code for _, code in sorted(found)))


@functools.lru_cache(maxsize=None)
def table() -> Dict[str, Meaning]:
    """Return every known code with its general meaning; read once, at first use."""
    return {meaning.code: meaning for meaning in reversed(_entries()) if not meaning.when and not meaning.stage}


@functools.lru_cache(maxsize=None)
def _special() -> Dict[str, List[Meaning]]:
    """Return, per code, the meanings that hold with certain words or in one stage."""
    found: Dict[str, List[Meaning]] = {}
    for meaning in _entries():
        if meaning.when or meaning.stage:
            found.setdefault(meaning.code, []).append(meaning)
    return found


@functools.lru_cache(maxsize=None)
def _entries() -> Tuple[Meaning, ...]:
    return tuple(
        Meaning(
            *(code, name, Text(**entry["meaning"]), Text(**entry["cause"]), Text(**entry["todo"])),
            *(entry["evidence"], entry.get("when", ""), entry.get("stage", "")),
        )
        for entry in json.loads(_TABLE.read_text(encoding="utf-8"))
        for code, name in entry["codes"].items()
    )


def _spelled(code: str) -> str:
    code = code.strip()
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", code):
        return str(int(code, 16))
    return code.upper() if code[:1].isalpha() else code
