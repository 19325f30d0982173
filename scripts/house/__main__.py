"""``python -m scripts.house``: the rooms of the project, what imports what, and whether its own rules hold.

Read from the imports of the source, tests apart. Exit 1 where there is a circle among modules, an arrow that runs
upward (pipeline < stages < scripts/pages and scripts/shared < commands < front end), an import of one stage by another,
or a room that holds more than a fifth of the modules.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

from clip2om.pipeline.command import Parser, run
from clip2om.pipeline.console import Console

if TYPE_CHECKING:
    from clip2om.scripts.house.imports import House

_PROG = "python -m scripts.house"


def main(argv: Optional[List[str]] = None) -> int:
    """Show the house; see ``python -m scripts.house --help``."""
    args = _parser().parse_args(argv)
    return run("house", lambda: _show(args))


def _parser() -> Parser:
    parser = Parser(
        prog=_PROG,
        description="Rooms, arrows and circles of this project, from its imports. Exit 1 if a rule is broken.",
        epilog=f"example:\n  {_PROG} --drawing docs/architecture.md",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--root", type=Path, metavar="DIR", help="folder of the house (default: this project's)")
    parser.add_argument(
        "--drawing", type=Path, metavar="PAGE", help="also write drawing and table into a Markdown page"
    )
    parser.add_argument("--quiet", action="store_true", help="only broken rules")
    return parser


def _show(args: argparse.Namespace) -> int:
    from clip2om.pipeline.errors import ShortfallError
    from clip2om.pipeline.places import ROOT
    from clip2om.scripts.house import drawing, rules
    from clip2om.scripts.house.imports import read_house

    console = Console("house", args.quiet)
    root = args.root or ROOT
    house = read_house(root)
    if not args.quiet:
        _rooms(house, console)
    if args.drawing:
        changed = drawing.write(args.drawing, house)
        console.say(f"{args.drawing} {'written' if changed else 'is up to date'}")
    broken = {
        "circles among modules": rules.circles(house),
        "arrows upward": rules.upward(house),
        "arrows between stages": rules.between_stages(house),
        "rooms above a fifth of the modules": rules.too_large(house),
    }
    for name, found in broken.items():
        console.result(f"{name}: {len(found)}")
        for line in found:
            console.result(f"  {line}")
    total = {name: len(found) for name, found in broken.items() if found}
    if total:
        raise ShortfallError(", ".join(f"{name}: {count}" for name, count in total.items()), root, "see above")
    return 0


def _rooms(house: House, console: Console) -> None:
    from clip2om.scripts.house.imports import arrows, rooms

    uses = {room: [target for source, target in arrows(house) if source == room] for room in rooms(house)}
    rows = [
        [room, str(len(modules)), str(sum(module.lines for module in modules)), f"{len(modules) / len(house):.1%}"]
        for room, modules in rooms(house).items()
    ]
    lines = sum(module.lines for module in house.values())
    console.table(["room", "modules", "lines", "share"], [*rows, ["all", str(len(house)), str(lines), ""]])
    console.result()
    for room, targets in uses.items():
        if targets:
            console.result(f"{room} -> {', '.join(sorted(targets))}")
    console.result()


if __name__ == "__main__":
    sys.exit(main())
