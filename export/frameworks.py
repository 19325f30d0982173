"""Which subpackage exports which framework, and what it needs; no framework is imported before it is used."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Callable, Tuple

from export.request import ExportRequest
from pipeline.card import Card
from pipeline.console import Console
from pipeline.errors import RequestError
from pipeline.records import GraphRecord

Exporter = Callable[[ExportRequest, Console], GraphRecord]


@dataclass(frozen=True)
class Framework:
    """Where an exporter is: ``module`` has a function ``export_graph``; ``libraries`` are what it imports."""

    module: str
    libraries: Tuple[str, ...]
    requirements: str


FRAMEWORKS = {
    "pytorch": Framework(
        "export.pytorch.exporter", ("torch", "onnx", "onnxsim", "onnxruntime"), "requirements/torch.txt"
    ),
}


def find_framework(card: Card) -> Framework:
    """Return the framework of a card.

    Raises:
        RequestError: there is no exporter for it.
    """
    if card.model.framework not in FRAMEWORKS:
        raise RequestError(
            f"model.framework is {card.model.framework!r}, which has no exporter yet",
            card.path,
            f"choose a card of: {', '.join(FRAMEWORKS)}",
        )
    return FRAMEWORKS[card.model.framework]


def load_exporter(framework: Framework) -> Exporter:
    """Import an exporter with its framework and return its ``export_graph``.

    Raises:
        RequestError: a library is missing or cannot be imported.
    """
    todo = f"pip install -r {framework.requirements}"
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
