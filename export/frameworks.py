"""Which subpackage exports which framework, and what it needs; no framework is imported before it is used."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Callable, Tuple

from export.request import ExportRequest
from pipeline.console import Console
from pipeline.errors import RequestError
from pipeline.records import GraphRecord

Exporter = Callable[[ExportRequest, Console], GraphRecord]


@dataclass(frozen=True)
class Framework:
    """Where an exporter is: ``module`` has a function ``export_graph``; ``libraries`` are what it imports.

    Attributes:
        formats: What it writes, the default first.
        requirements: Name of the file in requirements/, and of the virtual environment that make builds from it.
    """

    module: str
    libraries: Tuple[str, ...]
    formats: Tuple[str, ...]
    requirements: str


FRAMEWORKS = {
    "pytorch": Framework("export.pytorch.exporter", ("torch", "onnx", "onnxsim", "onnxruntime"), ("onnx",), "torch"),
    "tensorflow": Framework("export.tensorflow.exporter", ("tensorflow",), ("pb",), "tensorflow"),
    "paddle": Framework(
        "export.paddle.exporter", ("paddle", "paddle2onnx", "onnx", "onnxruntime"), ("onnx",), "paddle"
    ),
    "mindspore": Framework(
        "export.mindspore.exporter", ("mindspore", "onnx", "onnxruntime"), ("onnx", "mindir", "air"), "mindspore"
    ),
}


def load_exporter(framework: Framework) -> Exporter:
    """Import an exporter with its framework and return its ``export_graph``.

    Raises:
        RequestError: a library is missing or cannot be imported.
    """
    todo = f"make .venv/{framework.requirements}/.ready, or pip install -r requirements/{framework.requirements}.txt"
    missing = [name for name in framework.libraries if importlib.util.find_spec(name) is None]
    if missing:
        raise RequestError(f"not installed: {', '.join(missing)}", "this Python", todo)
    for name in framework.libraries:
        try:
            importlib.import_module(name)
        except (ImportError, OSError) as error:
            raise RequestError(f"{name} cannot be imported ({error})", "this Python", todo) from None
    exporter: Exporter = importlib.import_module(framework.module).export_graph
    return exporter
