"""A library that this Python lacks, told in one line with what installs it."""

from __future__ import annotations

import re
import sys

from clip2om.pipeline.errors import RequestError, last_line
from clip2om.pipeline.places import ROOT

# Modules whose distribution has another name.
_DISTRIBUTIONS = {"PIL": "Pillow", "vl_convert": "vl-convert-python", "google": "protobuf"}
# Where a distribution is looked for, the files of most use first.
_FILES = ("core", "openvino", "report", "torch", "tensorflow", "paddle", "mindspore", "quantize", "drift", "plot")


def refuse_import(error: ImportError) -> RequestError:
    """Return what to tell a user of an import that failed; one of this project's own is a fault, and is raised.

    Raises:
        ImportError: the module is ours.
    """
    module = (error.name or "").partition(".")[0]
    if module in ("", "clip2om"):
        raise error
    here = f"Python {'.'.join(map(str, sys.version_info[:2]))} ({sys.executable})"
    if isinstance(error, ModuleNotFoundError) and error.name == module:
        name = _DISTRIBUTIONS.get(module, module)
        return RequestError(f"{name} is not installed", here, _todo(name))
    return RequestError(f"{module} cannot be imported ({last_line(error)})", here, "install it again")


def _todo(distribution: str) -> str:
    for file in _FILES:
        if distribution.lower().replace("_", "-") in _listed(file):
            return f"pip install -r requirements/{file}.txt"
    return f"pip install {distribution}"


def _listed(file: str) -> "set[str]":
    """Return the distributions in a file of requirements/ and in those it includes, in small letters."""
    text = (ROOT / "requirements" / f"{file}.txt").read_text(encoding="utf-8")
    found = {name.lower().replace("_", "-") for name in re.findall(r"^([A-Za-z][\w-]*)", text, re.MULTILINE)}
    return found.union(*(_listed(other) for other in re.findall(r"^-r (\w+)\.txt", text, re.MULTILINE)))
