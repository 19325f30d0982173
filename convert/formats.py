"""The formats a graph can be compiled to, and which of the CPU's this host can write."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from typing import List, Tuple

from clip2om.pipeline.artifact import PathLike
from clip2om.pipeline.ascend_host import ROOT, find_cann
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.facts import versions

ATC = "atc"


@dataclass(frozen=True)
class Format:
    """A format of compiled models.

    Attributes:
        name: As --format and records have it.
        title: As people have it.
        library: The package that writes it; empty where none is needed.
        sources: Formats of the graphs it is made from.
        engine: What runs it.
        helper: Another package that is needed to write it; empty where none is.
        precision: Precision of the computation; for .om it depends on the options of ATC.
    """

    name: str
    title: str
    library: str
    sources: Tuple[str, ...]
    engine: str
    precision: str = "float32"
    helper: str = ""

    @property
    def libraries(self) -> List[str]:
        """The packages that are needed to write it."""
        return [name for name in (self.library, self.helper) if name]

    def available(self) -> bool:
        """True where what writes it is installed; it is not imported."""
        return all(find_spec(name) is not None for name in self.libraries)

    def tool(self) -> str:
        """Return name and version of what writes the format, for the record; empty where it is not there."""
        if self == OM:
            return _atc()
        if not self.library:
            return "copy"
        if self.helper and not self.available():
            return ""
        found = versions(self.libraries)
        return ", ".join(f"{name} {found.get(name, 'unknown')}" for name in self.libraries)


OPENVINO = Format("openvino", "OpenVINO", "openvino", ("onnx", "pb"), "openvino")
INT8 = Format("openvino", "OpenVINO", "openvino", ("onnx", "pb"), "openvino", "int8", "nncf")
ONNX = Format("onnx", "ONNX", "", ("onnx",), "onnxruntime")
# MindSpore's own graph, for the CPU as for an NPU that MindSpore drives.
MINDIR = Format("mindir", "MINDIR", "", ("mindir",), "mindspore")
OM = Format("om", ".om", "", ("onnx", "pb", "air"), "acl", "float16")
# In the order in which --format auto takes them.
CPU_FORMATS = (OPENVINO, ONNX, MINDIR)


def candidates(name: str, graph: PathLike, source: str, console: Console) -> List[Format]:
    """Return the CPU's formats to try in turn for ``--format name`` and a graph of format ``source``.

    Raises:
        RequestError: the format asked for is not made from such graphs, nothing is, or its library is not installed.
    """
    fitting = [form for form in CPU_FORMATS if source in form.sources]
    if not fitting:
        known = dict.fromkeys(source for form in CPU_FORMATS for source in form.sources)
        raise RequestError(
            f"is a graph of format {source!r}, the CPU takes {', '.join(known)}",
            graph,
            "export another --format, or compile for an NPU: --soc Ascend310P3",
        )
    if name != "auto" and name not in [form.name for form in fitting]:
        raise RequestError(
            f"{name} is not made from a graph of format {source!r}",
            "--format",
            f"choose {' or '.join(form.name for form in fitting)}, or leave it out",
        )
    chosen = [form for form in fitting if name in ("auto", form.name)]
    found = [form for form in chosen if form.available()]
    if not found:
        raise _not_installed(chosen[0], [form for form in fitting if form.available()], name, graph)
    if found[0] != chosen[0]:
        console.say(f"{chosen[0].title} is not installed: {keeping(found[0])}")
    return found


def require_int8(graph: PathLike, source: str) -> None:
    """Refuse to quantize where it cannot be done.

    Raises:
        RequestError: the graph's format is not one that OpenVINO reads, or OpenVINO or NNCF is not installed.
    """
    if source not in INT8.sources:
        raise RequestError(
            f"is a graph of format {source!r}, quantized can be {' and '.join(INT8.sources)}", graph, "export another"
        )
    for name, remedy in ((INT8.library, "openvino"), (INT8.helper, "quantize")):
        if find_spec(name) is None:
            todo = f"pip install -r requirements/{remedy}.txt"
            raise RequestError(f"{name} is not installed", "--precision int8", todo)


def keeping(form: Format) -> str:
    """Return in words what becomes of a graph whose preferred format cannot be written here."""
    return f"keeping {form.title}, which the {form.engine} engine runs"


def _not_installed(form: Format, others: List[Format], name: str, graph: PathLike) -> RequestError:
    if name == "auto":
        what, where = f"only {form.title} compiles it for the CPU, and that is not installed", str(graph)
    else:
        what, where = f"{form.title} is not installed", f"--format {name}"
    also = f", or --format {others[0].name}" if others else ""
    return RequestError(what, where, f"pip install {form.library}{also}")


def _atc() -> str:
    if shutil.which(ATC) is None:
        return ""
    cann = find_cann(ROOT, os.environ)
    return f"{ATC}, CANN {cann.version}" if cann and cann.version else f"{ATC}, CANN of unknown version"
