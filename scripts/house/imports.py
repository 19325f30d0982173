"""Reading a house: the modules of every room and what they import of one another, without importing any of them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

from clip2om.pipeline.errors import RequestError

PACKAGE = "clip2om"
# Wings in the order of the layers: what stands in one may import what stands before it.
STAGES = ("export", "preprocess", "convert", "infer", "postprocess")
WINGS = ("pipeline", *STAGES, "scripts", PACKAGE, "benchmarks")


@dataclass
class Module:
    """One file: its dotted name below ``clip2om``, its room, and the modules of the house that it imports.

    An import counts wherever it stands: at the top, in a function or under ``TYPE_CHECKING``. A module that needs
    another one's types is as hard to read without it as one that runs it.
    """

    name: str
    room: str
    lines: int
    about: str
    imports: Set[str] = field(default_factory=set)


House = Dict[str, Module]


def read_house(root: Path) -> House:
    """Return the modules below ``root``, a checkout or a tree of the same wings, by name.

    A room is a folder with modules: ``pipeline``, ``export/pytorch``, ``scripts/stream``.

    Raises:
        RequestError: there is no wing, or a file is not Python.
    """
    parsed: List[Tuple[Module, ast.Module]] = []
    for path in (path for wing in WINGS for path in sorted((root / wing).rglob("*.py"))):
        relative = path.relative_to(root)
        # What every room imports of the package itself is the check of the Python that runs it.
        if relative.parts == (PACKAGE, "__init__.py"):
            continue
        text = path.read_text(encoding="utf-8")
        try:
            tree = ast.parse(text)
        except SyntaxError as error:
            raise RequestError(f"is not Python ({error.msg}, line {error.lineno})", path) from None
        about = (ast.get_docstring(tree) or "").partition("\n")[0]
        parsed.append((Module(_name(relative), str(relative.parent), len(text.splitlines()), about), tree))
    if not parsed:
        raise RequestError("holds no room", root, f"give the folder with {', '.join(WINGS)}")
    house = {module.name: module for module, _ in parsed}
    for module, tree in parsed:
        module.imports = {name for name in _imported(tree, house) if name != module.name}
    return house


def _name(relative: Path) -> str:
    parts = relative.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(tree: ast.Module, house: House) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # What is imported from a package may be a module of it.
            wanted = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in wanted:
            found = _module(name, house)
            if found:
                yield found


def _module(name: str, house: House) -> str:
    """Return the module that a dotted name lies in, empty for one of no room."""
    if not name.startswith(f"{PACKAGE}."):
        return ""
    # The front end stands in a folder called as the package is: clip2om.api is clip2om/api.py.
    for inside in (name[len(PACKAGE) + 1 :], name):
        while inside and inside not in house:
            inside = inside.rpartition(".")[0]
        if inside:
            return inside
    return ""


def rooms(house: House) -> Dict[str, List[Module]]:
    """Return the modules of each room, rooms in the order of the wings."""
    found: Dict[str, List[Module]] = {}
    for module in house.values():
        found.setdefault(module.room, []).append(module)
    return found


def arrows(house: House) -> Dict[Tuple[str, str], List[Tuple[str, str]]]:
    """Return the arrows between rooms, each with the imports (importing module, imported module) behind it."""
    found: Dict[Tuple[str, str], List[Tuple[str, str]]] = {}
    for module in house.values():
        for name in sorted(module.imports):
            ends = module.room, house[name].room
            if ends[0] != ends[1]:
                found.setdefault(ends, []).append((module.name, name))
    return found
