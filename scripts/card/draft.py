"""A card in the making: what is known of each entry, where from, and the TOML that says so."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, List

Sections = Dict[str, Dict[str, Any]]
_UNTOLD = "not told by the file: check"


@dataclass
class Draft:
    """Entries by section and key.

    Attributes:
        title: For a person.
        sections: In the order of the card.
        untold: Entries, ``section.key``, that nothing told: the values are those of a card of this project, or guesses.
    """

    title: str
    sections: Sections
    untold: List[str] = field(default_factory=list)

    def set(self, section: str, **entries: Any) -> None:
        """Enter what is known."""
        self.sections.setdefault(section, {}).update(entries)
        told = {f"{section}.{key}" for key in entries}
        self.untold = [key for key in self.untold if key not in told]

    def doubt(self, section: str, *keys: str) -> None:
        """Mark entries that nothing told."""
        self.untold += [f"{section}.{key}" for key in keys if f"{section}.{key}" not in self.untold]

    def toml(self, made_from: str) -> str:
        """Return the card, each entry that nothing told marked as such."""
        lines = [
            f"# Written from {_comment(made_from)}. Entries marked below are guesses.",
            f"title = {_value(self.title)}",
        ]
        for section, entries in self.sections.items():
            lines += ["", f"[{section}]"]
            for key, value in entries.items():
                mark = f"  # {_UNTOLD}" if f"{section}.{key}" in self.untold else ""
                lines.append(f"{key} = {_value(value)}{mark}")
        return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _value(value: Any) -> str:
    """Return a value as TOML, whose strings are those of JSON but for the sign after the last of ASCII."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
