"""The house as text for docs/architecture.md: one drawing of its wings and a table of its rooms.

Neither counts lines, so that they change when the structure does and not with every commit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Set

from clip2om.pipeline.artifact import write_text
from clip2om.pipeline.errors import RequestError
from clip2om.scripts.house.imports import PACKAGE, STAGES, House, arrows, rooms
from clip2om.scripts.house.rules import layer, wing

BEGIN = "<!-- written by python -m scripts.house --drawing: change the house instead -->"
END = "<!-- end of what is written -->"
_COMMANDS = "scripts"
_TITLES = {
    PACKAGE: "clip2om: the front end",
    "benchmarks": "benchmarks",
    _COMMANDS: "scripts: a folder per command",
    "scripts/pages": "scripts/pages",
    "scripts/shared": "scripts/shared",
    "pipeline": "pipeline: what all share",
}


def write(page: Path, house: House) -> bool:
    """Put the section into a page, between its two marks; return whether that changed it.

    Raises:
        RequestError: no such page, or one without the marks.
    """
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise RequestError("has no place for the drawing", page, f"give a page with the lines {BEGIN} and {END}")
    made = f"{before}{BEGIN}\n\n{section(house)}\n{END}{after}"
    if made != text:
        write_text(page, made)
    return made != text


def section(house: House) -> str:
    """Return drawing and table."""
    return "\n".join([*_drawing(house), "", *_table(house), ""])


def _drawing(house: House) -> List[str]:
    """Return a flowchart in Mermaid's language; an arrow points at what is imported."""
    drawn: Dict[str, Set[str]] = {_node(room): set() for room in rooms(house)}
    for source, target in arrows(house):
        if _node(source) != _node(target):
            drawn[_node(source)].add(_node(target))
    lines = ["```mermaid", "flowchart TD"]
    for node in sorted(drawn, key=lambda node: -_height(node)):
        lines.append(f'  {_identifier(node)}["{_TITLES.get(node, node)}"]')
    for node, targets in drawn.items():
        lines += [f"  {_identifier(node)} --> {_identifier(target)}" for target in sorted(targets)]
    return [*lines, "```"]


def _node(room: str) -> str:
    """Return what a room is drawn as: stages and the commands of scripts/ are one box each."""
    return room if layer(room) == 2 else wing(room)


def _height(node: str) -> int:
    return layer(node)


def _identifier(node: str) -> str:
    return node.replace("/", "_")


def _table(house: House) -> List[str]:
    lines = ["| room | what it is for | imports |", "| --- | --- | --- |"]
    uses: Dict[str, List[str]] = {}
    for source, target in arrows(house):
        uses.setdefault(source, []).append(target)
    for room, modules in rooms(house).items():
        about = next((module.about for module in modules if module.name == room.replace("/", ".")), "")
        named = ", ".join(f"`{target}`" for target in sorted(uses.get(room, []), key=_order))
        lines.append(f"| `{room}` | {about} | {named or '–'} |")
    return lines


def _order(room: str) -> "tuple[int, int, str]":
    place = STAGES.index(wing(room)) if wing(room) in STAGES else 0
    return layer(room), place, room
