"""Hosts for the convert stage: with the simulated CANN, with a script in atc's place, or without CANN."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Dict

from tests.command import ROOT

SIMULATOR = ROOT / "tests" / "cann_sim" / "bin"
_CANN = ("ASCEND", "CANN_SIM", "LD_LIBRARY_PATH")


def bare(**more: str) -> Dict[str, str]:
    """Return this environment without anything of CANN in it; ``more`` is added."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_CANN)}
    return {**kept, **more}


def simulated(**more: str) -> Dict[str, str]:
    """Return the environment of a host with the simulated CANN; atc's own python3 is this interpreter's."""
    path = [str(SIMULATOR), str(Path(sys.executable).parent), os.environ["PATH"]]
    return bare(PATH=os.pathsep.join(path), **more)


def scripted(folder: Path, body: str, **more: str) -> Dict[str, str]:
    """Return the environment of a host whose atc is the shell script ``body``."""
    folder.mkdir(parents=True, exist_ok=True)
    tool = folder / "atc"
    tool.write_text(f"#!/bin/sh\n{body}\n")
    tool.chmod(0o755)
    return bare(PATH=os.pathsep.join([str(folder), os.environ["PATH"]]), **more)
