"""Run the test suites one after the other, each in its framework's environment, and say what ran and what did not.

``make test`` runs this with any Python 3: it needs nothing but the standard library. Every suite is a make target of
its own (``make test-paddle``), which builds the environment it needs. ``--quick`` is the part of the PyTorch suite that
takes two minutes on two cores, for the time between two commits.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Sequence

ROOT = Path(__file__).resolve().parent.parent
FRAMEWORKS = ("tensorflow", "paddle", "mindspore")
SUITES = ("pytorch", *FRAMEWORKS)
# What `make test-quick` runs: of every room what needs no video to be rendered, no framework to be run and no stage to
# be started more than a few times. Two minutes on two cores; tests marked slow are left out.
QUICK = (
    "tests/test_bare_python.py",
    "tests/test_doors.py",
    "tests/test_readme.py",
    "tests/test_suites.py",
    "tests/scripts/house",
    "tests/pipeline",
    "tests/export/test_checkpoint_files.py",
    "tests/export/test_onnx_graph.py",
    "tests/export/test_parity.py",
    "tests/export/pytorch/test_checkpoint.py",
    "tests/preprocess/test_geometry.py",
    "tests/preprocess/test_golden.py",
    "tests/preprocess/test_jpeg.py",
    "tests/preprocess/test_resize.py",
    "tests/preprocess/test_sampling.py",
    "tests/preprocess/test_worker.py",
    "tests/convert/test_atc_command.py",
    "tests/convert/test_frozen.py",
    "tests/convert/test_onnx_check.py",
    "tests/convert/test_refusals.py",
    "tests/infer/test_engines.py",
    "tests/infer/test_scores.py",
    "tests/postprocess",
    "tests/test_cann_sim_acl.py",
    "tests/test_cann_sim_rules.py",
)
_COUNTS = ("passed", "failed", "skipped")


def folder_of(framework: str) -> str:
    """Return where the tests lie that need ``framework``, one of :data:`FRAMEWORKS`."""
    return f"tests/export/{framework}"


@dataclass
class Result:
    """What became of one suite; ``counts`` is empty where it did not get as far as running tests."""

    name: str
    code: int
    counts: Dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    skips: List[str] = field(default_factory=list)

    def line(self) -> str:
        """Return the suite in one line."""
        if not self.counts:
            return f"{self.name}: NOT RUN (make ended with {self.code}: see above)"
        numbers = ", ".join(f"{self.counts[word]} {word}" for word in _COUNTS)
        return f"{self.name}: {numbers} in {self.seconds:.0f} s{'' if self.code == 0 else ' - FAILED'}"


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the suites and return 0 if every one of them ran and passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.suites", description="Run the test suites.")
    parser.add_argument("suites", nargs="*", default=list(SUITES), help=f"of {', '.join(SUITES)} (default: all)")
    parser.add_argument("--make", default="make", help="make, with the variables of the call")
    parser.add_argument("--reports", type=Path, default=ROOT / "build" / "tests", help="folder of the JUnit reports")
    parser.add_argument("--quick", action="store_true", help="the quick tests alone, with this Python, for two minutes")
    args = parser.parse_args(argv)
    if args.quick:
        return quick()
    unknown = [name for name in args.suites if name not in SUITES]
    if unknown:
        parser.error(f"no suite called {unknown[0]!r}, choose from {', '.join(SUITES)}")
    results = [run(name, args.make, args.reports / f"{name}.xml") for name in args.suites]
    sys.stdout.write("".join(f"{line}\n" for line in summary(results)))
    return 0 if all(result.code == 0 for result in results) else 1


def quick() -> int:
    """Run :data:`QUICK` with this interpreter and return pytest's exit code."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-m", "not slow", *QUICK]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def run(name: str, make: str, report: Path) -> Result:
    """Run one suite by its make target, its output passed through, and read its report."""
    report.unlink(missing_ok=True)
    sys.stdout.write(f"== {name}\n")
    sys.stdout.flush()
    code = subprocess.run([*make.split(), "--no-print-directory", f"test-{name}"], cwd=ROOT, check=False).returncode
    return read(name, code, report)


def read(name: str, code: int, report: Path) -> Result:
    """Read pytest's JUnit report of a suite."""
    if not report.is_file():
        return Result(name, code or 1)
    suites = ElementTree.parse(report).getroot().findall("testsuite")
    total, failed, errors, skipped = (
        sum(int(suite.get(key, "0")) for suite in suites) for key in ("tests", "failures", "errors", "skipped")
    )
    reasons = Counter(str(item.get("message")) for suite in suites for item in suite.iter("skipped"))
    counts = {"passed": total - failed - errors - skipped, "failed": failed + errors, "skipped": skipped}
    seconds = sum(float(suite.get("time", "0")) for suite in suites)
    return Result(name, code, counts, seconds, [f"{count} x {reason}" for reason, count in reasons.items()])


def summary(results: Sequence[Result]) -> List[str]:
    """Return the last lines of a run: what ran, what was left out and why, and the total."""
    lines = ["", *(result.line() for result in results)]
    lines += [f"  skipped {reason}" for result in results for reason in result.skips]
    ran = {result.name for result in results if result.counts}
    lines += [f"left out: {name} (make test-{name})" for name in SUITES if name not in ran]
    total = {word: sum(result.counts.get(word, 0) for result in results) for word in _COUNTS}
    return [*lines, ", ".join(f"{total[word]} {word}" for word in _COUNTS)]


if __name__ == "__main__":
    sys.exit(main())
