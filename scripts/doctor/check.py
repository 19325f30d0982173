"""What a check of the doctor is, what it looks at, and how it runs other programs without ever waiting for long."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterable, List, Mapping, Optional, Sequence, Tuple

from clip2om.pipeline import places
from clip2om.pipeline.ascend_host import ROOT, AscendHost, probe

STAGES = ("export", "preprocess", "convert", "infer", "postprocess")
OK, MISSING, WRONG = "ok", "missing", "wrong"
_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        name: What was looked at.
        state: ``ok``, ``missing`` or ``wrong``.
        found: What was found, in words.
        todo: The command or step that mends it; empty where nothing has to be done.
        blocks: Stages that cannot run here unless this is ok.
    """

    name: str
    state: str
    found: str
    todo: str = ""
    blocks: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Patient:
    """The host as the checks see it; everything they read comes from here.

    Attributes:
        soc: What the stages are to run on: ``cpu`` or a ``--soc_version`` of ATC.
        root: Top of the file system.
        environ: Environment of the programs that are started.
        python: Interpreter of the stages.
        uid: User id, and ``gids`` its groups.
        project: Folder of the checkout, or the current one, whose disk the artifacts go to.
        timeout_s: How long any program may take.
    """

    soc: str
    root: Path = ROOT
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    python: str = sys.executable
    uid: int = field(default_factory=os.getuid)
    gids: Tuple[int, ...] = field(default_factory=lambda: tuple(os.getgroups()))
    project: Path = places.ROOT if places.CHECKOUT else Path.cwd()
    timeout_s: float = _TIMEOUT_S

    def ascend(self) -> AscendHost:
        """Look for what there is of Ascend."""
        return probe(self.root, self.environ, self.timeout_s)

    def run(self, command: Sequence[str], more: Optional[Mapping[str, str]] = None) -> Tuple[int, str]:
        """Return exit code and printed text of ``command``; 127 where it cannot be run, 124 where it hangs.

        ``more`` are variables beside the patient's environment.
        """
        try:
            done = subprocess.run(
                list(command),
                env={**self.environ, **(more or {})},
                cwd=self.project,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=self.timeout_s,
            )
        except subprocess.TimeoutExpired:
            return 124, f"no answer within {self.timeout_s:.0f} s"
        except OSError as error:
            return 127, f"cannot be run ({error.strerror or error})"
        return done.returncode, done.stdout.decode("utf-8", "replace")


@dataclass(frozen=True)
class Section:
    """Checks under one title."""

    title: str
    checks: List[Check]


def examine(title: str, probes: Iterable[Callable[[], List[Check]]]) -> Section:
    """Run the probes of a section; one that fails is a line of its own, because a doctor must never faint."""
    checks: List[Check] = []
    for look in probes:
        try:
            checks += look()
        except Exception as error:
            name = getattr(look, "__name__", "check")
            said = f"{type(error).__name__}: {error}".strip()
            checks.append(
                Check(name.strip("_"), WRONG, f"the check itself failed ({said})", "report it with this line")
            )
    return Section(title, checks)


def last_line(text: str, default: str = "no output") -> str:
    """Return the last line that is not blank: where programs put the cause."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else default


def numbers(version: str) -> Tuple[int, ...]:
    """Return the leading numbers of a version: (1, 26, 4) for 1.26.4."""
    parts: List[int] = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        parts.append(int(digits))
        if digits != part:
            break
    return tuple(parts)


def which(patient: Patient, name: str) -> Optional[str]:
    """Return the path of a program on the patient's PATH."""
    import shutil

    return shutil.which(name, path=patient.environ.get("PATH", ""))
