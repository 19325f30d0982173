"""The formats a graph can be compiled to, and which of the CPU's this host can write."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from typing import List

from pipeline.ascend_host import ROOT, find_cann
from pipeline.console import Console
from pipeline.errors import RequestError
from pipeline.facts import versions

ATC = "atc"


@dataclass(frozen=True)
class Format:
    """A format of compiled models; ``library`` is the package that writes it, empty where none is needed."""

    name: str
    library: str
    precision: str = "float32"

    def available(self) -> bool:
        """True where the library is installed; it is not imported."""
        return not self.library or find_spec(self.library) is not None

    def tool(self) -> str:
        """Return name and version of what writes the format, for the record; empty where it is not there."""
        if self == OM:
            return _atc()
        if not self.library:
            return "copy"
        return f"{self.library} {versions([self.library]).get(self.library, 'unknown')}"


OPENVINO = Format("openvino", "openvino")
ONNX = Format("onnx", "")
# Its precision depends on the options of ATC.
OM = Format("om", "", "float16")


def candidates(name: str, console: Console) -> List[Format]:
    """Return the formats to try in turn for ``--format name``; ``auto`` prefers OpenVINO IR.

    Raises:
        RequestError: openvino is asked for by name and is not installed.
    """
    if name == "onnx":
        return [ONNX]
    if OPENVINO.available():
        return [OPENVINO] if name == "openvino" else [OPENVINO, ONNX]
    if name == "openvino":
        raise RequestError("OpenVINO is not installed", "--format openvino", "pip install openvino, or --format onnx")
    console.say("OpenVINO is not installed: keeping ONNX, which the onnxruntime engine runs")
    return [ONNX]


def _atc() -> str:
    if shutil.which(ATC) is None:
        return ""
    cann = find_cann(ROOT, os.environ)
    return f"{ATC}, CANN {cann.version}" if cann and cann.version else f"{ATC}, CANN of unknown version"
