"""What must hold of a house: no circle, no arrow upward, no arrow between stages, no room above a fifth."""

from __future__ import annotations

from typing import Dict, List

from clip2om.scripts.house.imports import STAGES, House, arrows, rooms

LARGEST = 0.2
# Rooms of scripts/ that serve its commands.
SERVING = ("scripts/pages", "scripts/shared")


def wing(room: str) -> str:
    """Return the folder at the top that a room lies in."""
    return room.partition("/")[0]


def layer(room: str) -> int:
    """Return how high a room stands: pipeline 0, stages 1, what serves the commands 2, commands 3, front end 4."""
    if wing(room) == "pipeline":
        return 0
    if wing(room) in STAGES:
        return 1
    if wing(room) == "scripts":
        return 2 if room in SERVING else 3
    return 4


def upward(house: House) -> List[str]:
    """Return the imports of a higher layer, one line each."""
    return [line for line, low, high in _crossing(house) if layer(high) > layer(low)]


def between_stages(house: House) -> List[str]:
    """Return the imports of one stage by another, one line each."""
    return [
        line
        for line, source, target in _crossing(house)
        if {wing(source), wing(target)} <= {*STAGES} and wing(source) != wing(target)
    ]


def _crossing(house: House) -> "List[tuple[str, str, str]]":
    return [
        (f"{one} imports {other}", source, target)
        for (source, target), imports in arrows(house).items()
        for one, other in imports
    ]


def too_large(house: House) -> List[str]:
    """Return the rooms that hold more than a fifth of the modules, one line each."""
    return [
        f"{room} holds {len(modules)} of {len(house)} modules"
        for room, modules in rooms(house).items()
        if len(modules) > LARGEST * len(house)
    ]


def circles(house: House) -> List[str]:
    """Return the groups of modules that import one another in a circle, one line each (Tarjan's algorithm, 1972)."""
    index: Dict[str, int] = {}
    low: Dict[str, int] = {}
    stack: List[str] = []
    found: List[str] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(house[name].imports):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[-len(group) :]
            if len(group) > 1:
                found.append(" and ".join(sorted(group)))

    for name in house:
        if name not in index:
            visit(name)
    return found
