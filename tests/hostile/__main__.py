"""``make torture``: many damaged files and many kills; what it prints goes into docs/reliability.md.

python -m tests.hostile --cases 100000 --kills 300 --seed 14
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import List, Optional

from clip2om.pipeline.console import format_table
from tests.hostile.fuzz import fuzz
from tests.hostile.kills import kill_and_resume, stages


def main(argv: Optional[List[str]] = None) -> int:
    """Run the long part and return 0 if nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000, help="damaged files over all readers")
    parser.add_argument("--kills", type=int, default=300, help="kills over all stages")
    parser.add_argument("--seed", type=int, default=14)
    parser.add_argument("--keep", type=Path, default=Path("build/torture"), help="where inputs of failures are kept")
    args = parser.parse_args(argv)
    sys.stdout.write(f"Python {platform.python_version()}, seed {args.seed}\n")
    wrong: List[str] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if args.cases:
            wrong += _fuzz(root / "fuzz", args)
        if args.kills:
            wrong += _kill(root / "kills", args)
    sys.stdout.write("".join(f"FAILED {line}\n" for line in wrong) or "nothing was found\n")
    return 1 if wrong else 0


def _fuzz(folder: Path, args: argparse.Namespace) -> List[str]:
    from tests.hostile.readers import readers

    folder.mkdir(parents=True)
    (folder / "count").mkdir()
    shares = sum(reader.share for reader in readers(folder / "count").values())
    begin = time.monotonic()
    (folder / "run").mkdir()
    found = fuzz(folder / "run", -(-args.cases // int(shares)), args.seed, args.keep)
    rows = [
        [name, *map(str, (figures.cases, figures.accepted, figures.refused, len(figures.failures)))]
        for name, figures in found.items()
    ]
    total = sum(figures.cases for figures in found.values())
    lines = format_table(["reader", "cases", "accepted", "refused", "failed"], rows)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.write(f"{total} damaged files in {time.monotonic() - begin:.0f} s\n")
    return [line for figures in found.values() for line in figures.failures]


def _kill(folder: Path, args: argparse.Namespace) -> List[str]:
    wrong: List[str] = []
    for stage in stages(folder):
        begin = time.monotonic()
        counts = kill_and_resume(stage, -(-args.kills // 3), args.seed)
        wrong += counts.wrong
        sys.stdout.write(
            f"{stage.name}: {counts.kills} kills, {counts.resumes} resumes, {len(counts.wrong)} files of other bytes, "
            f"{time.monotonic() - begin:.0f} s\n"
        )
        sys.stdout.flush()
    return wrong


if __name__ == "__main__":
    sys.exit(main())
