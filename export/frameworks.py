"""Which subpackage exports which framework, and what it needs; no framework is imported before it is used."""

from __future__ import annotations

import importlib
import importlib.util
import os
import warnings
from dataclasses import dataclass, field
from types import ModuleType
from typing import Dict, Sequence, Tuple

from clip2om.pipeline.errors import RequestError


@dataclass(frozen=True)
class Framework:
    """Where an exporter is, and ``libraries`` that it imports; see :func:`load_exporter` for what ``module`` has.

    Attributes:
        formats: What it writes, the default first.
        requirements: Name of the file in requirements/, and of the virtual environment that make builds from it.
        environment: Variables that are set before it is imported, where the user has not set them.
        adopts: What it takes is a graph already, made elsewhere.
    """

    module: str
    libraries: Tuple[str, ...]
    formats: Tuple[str, ...]
    requirements: str
    environment: Dict[str, str] = field(default_factory=dict)
    adopts: bool = False


FRAMEWORKS = {
    "pytorch": Framework(
        "clip2om.export.pytorch.exporter", ("torch", "onnx", "onnxsim", "onnxruntime"), ("onnx",), "torch"
    ),
    "tensorflow": Framework(
        "clip2om.export.tensorflow.exporter",
        ("tensorflow",),
        ("pb",),
        "tensorflow",
        # It reports on stderr what it was built with, and only its environment keeps it from that. With oneDNN, graph
        # and eager execution would also differ in the last bits.
        {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"},
    ),
    "paddle": Framework(
        "clip2om.export.paddle.exporter", ("paddle", "paddle2onnx", "onnx", "onnxruntime"), ("onnx",), "paddle"
    ),
    "mindspore": Framework(
        "clip2om.export.mindspore.exporter",
        ("mindspore", "onnx", "onnxruntime"),
        ("onnx", "mindir", "air"),
        "mindspore",
        # It reports missing devices and its own obsolete interfaces on stderr, and errors before it raises them.
        {"GLOG_v": "4"},
    ),
    "onnx": Framework("clip2om.export.adopted.onnx_file", ("onnx", "onnxruntime"), ("onnx",), "drift", adopts=True),
}


def load_exporter(framework: Framework) -> ModuleType:
    """Import a framework and return the module that exports its checkpoints.

    Every such module has these functions, where ``Run`` is :data:`export.run.Run`:

    - ``export_graph(request: ExportRequest, console: Console) -> GraphRecord`` writes a graph and its record.
    - ``load_network(request: ExportRequest) -> Run`` returns the card's network with the weights of
      ``request.checkpoint``, in evaluation mode and in the framework's eager mode where it has one. It takes
      normalised float32 values in the card's layout, of any batch size and whatever ``request.input_dtype`` says, and
      gives what the tensor ``request.logits`` says: with the card's softmax and mean over clips.
    - ``load_graph(path: Path) -> Run`` returns a graph that the exporter wrote, executed on this machine's CPU by a
      runtime that reads that very file. It takes batches as the graph does (uint8 where it takes pixels) and gives the
      first of its outputs. An exporter of ONNX alone needs none: :func:`export.onnx_graph.load` is used.

    Raises:
        RequestError: a library is missing or cannot be imported.
    """
    import_libraries(framework, framework.libraries)
    return importlib.import_module(framework.module)


def import_libraries(framework: Framework, names: Sequence[str], todo: str = "") -> None:
    """Import libraries of a framework, by default to be told how to build its environment where one is missing.

    Raises:
        RequestError: a library is missing or cannot be imported; ends with ``todo``.
    """
    kind = framework.requirements
    todo = todo or f"make .venv/{kind}/.ready, or pip install -r requirements/{kind}.txt"
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise RequestError(f"not installed: {', '.join(missing)}", "this Python", todo)
    for variable, value in framework.environment.items():
        os.environ.setdefault(variable, value)
    for name in names:
        try:
            # What a library announces when it is imported says nothing about the user's model.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                importlib.import_module(name)
        except (ImportError, OSError) as error:
            raise RequestError(f"{name} cannot be imported ({error})", "this Python", todo) from None
