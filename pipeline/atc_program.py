"""Where ATC is on this host, and what is missing where it is not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from clip2om.pipeline.ascend_host import ROOT, find_cann
from clip2om.pipeline.errors import RequestError

ATC = "atc"


def find_atc(soc: str) -> str:
    """Return the path of ATC.

    Raises:
        RequestError: it is not on the PATH.
    """
    program = shutil.which(ATC)
    if program is None:
        raise missing_atc(soc)
    return program


def missing_atc(soc: str) -> RequestError:
    """Return the error of a host without ATC, with what is missing."""
    elsewhere = "--dry-run prints the command for another host, SOC=cpu (--soc cpu) compiles for this one"
    cann = find_cann(ROOT, os.environ)
    if cann is None:
        what = "atc is not on the PATH: it comes with the CANN toolkit (nnrt has none), which is not on this host"
        return RequestError(what, f"--soc {soc}", elsewhere)
    if cann.sourced or cann.package in ("nnrt", "nnae"):
        what = f"atc is not on the PATH, {cann.home} holds none; only the CANN toolkit does"
        return RequestError(what, f"--soc {soc}", f"install it; {elsewhere}")
    what = f"atc is not on the PATH, though there is a CANN in {cann.home}"
    return RequestError(what, f"--soc {soc}", f"source {set_env_of(cann.home)}; {elsewhere}")


def set_env_of(home: str) -> str:
    """Return set_env.sh: inside the home from CANN 8.5 on, beside ``latest`` before."""
    path = Path(home)
    return str((path.parent if path.name == "latest" else path) / "set_env.sh")
