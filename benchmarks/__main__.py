"""Measure everything that this project says of its speed: ``python -m benchmarks``.

Every module of this folder that has a function ``rows(scale)`` is a benchmark; ``growth(scale)`` is optional.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import pkgutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Dict, List, Optional

from clip2om.pipeline.command import Parser, positive, run
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError

if TYPE_CHECKING:
    from clip2om.benchmarks.row import Growth, Row

ROOT = Path(__file__).resolve().parent.parent
_QUICK_ROUNDS, _ROUNDS = 2, 7


def main(argv: Optional[List[str]] = None) -> int:
    """Run the benchmarks; see ``python -m benchmarks --help``."""
    args = _parser().parse_args(argv)
    return run("bench", lambda: _bench(args))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m benchmarks",
        description="Measure every row of docs/benchmarks.md beside its baseline. Needs a machine that does nothing "
        "else, and the environment of PyTorch. Exit 2 if a benchmark could not be carried out.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="tiny inputs: shows that it runs, never how fast; docs/ stays as it is")
    add("--only", action="append", default=[], metavar="NAME", help="one of the benchmarks; repeatable")
    add("--rounds", type=positive, metavar="N", help=f"measurements of each side (default: {_ROUNDS})")
    add("--page", metavar="FILE", help="default: docs/benchmarks.md, with --quick build/bench/benchmarks.md")
    add("--json", metavar="FILE", help="default: beside the page")
    add("--work", metavar="DIR", help="where inputs are made (default: a temporary folder)")
    add("--quiet", action="store_true", help="only warnings and results")
    return parser


def _bench(args: argparse.Namespace) -> int:
    from clip2om.benchmarks import report
    from clip2om.benchmarks.row import Scale

    modules = _benchmarks(args.only)
    console = Console("bench", args.quiet)
    page = Path(args.page or ROOT / ("build/bench" if args.quick or args.only else "docs") / "benchmarks.md")
    rounds = args.rounds or (_QUICK_ROUNDS if args.quick else _ROUNDS)
    rows: List[Row] = []
    growths: List[Growth] = []
    failed: Dict[str, str] = {}
    with tempfile.TemporaryDirectory(dir=args.work) as work:
        scale = Scale(Path(work), args.quick, rounds)
        for name, module in modules.items():
            console.say(name)
            try:
                rows += module.rows(scale)
                growths += module.growth(scale) if hasattr(module, "growth") else []
            except (RequestError, RuntimeError, OSError) as error:
                console.warn(f"{name}: {error}")
                failed[name] = str(error)
    found = report.measured(datetime.date.today().isoformat(), rounds, rows, growths, failed)
    report.show(found, console)
    report.write(found, page, Path(args.json or page.with_suffix(".json")))
    console.result(f"{page}: {len(rows) - len(report.missed(found))} of {len(rows)} rows as asked")
    if failed:
        raise RequestError(f"could not be carried out: {', '.join(failed)}", None, "the lines above say why")
    return 0


def _benchmarks(only: List[str]) -> Dict[str, ModuleType]:
    """Return the benchmarks by name, those asked for.

    Raises:
        RequestError: there is none of that name.
    """
    from clip2om import benchmarks

    names = sorted(item.name for item in pkgutil.iter_modules(benchmarks.__path__) if not item.name.startswith("_"))
    modules = {name: importlib.import_module(f"clip2om.benchmarks.{name}") for name in names}
    found = {name: module for name, module in modules.items() if hasattr(module, "rows")}
    for name in only:
        if name not in found:
            raise RequestError(f"{name!r} is not a benchmark", "--only", f"choose from: {', '.join(found)}")
    return {name: found[name] for name in only or found}


if __name__ == "__main__":
    sys.exit(main())
