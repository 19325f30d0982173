"""The layers of a graph, and what each gives in ONNX Runtime in float32: the side that drift is measured from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from clip2om.pipeline.errors import RequestError, last_line


@dataclass(frozen=True)
class Layer:
    """One node of a graph.

    Attributes:
        name: The node's name; that of its output where it has none.
        op: Operator, for example ``Conv``.
        output: Name of its first output tensor.
        inputs: Names of the layers' outputs that it reads; weights and the graph's input apart.
        nbytes: Size of the output in float32.
    """

    name: str
    op: str
    output: str
    inputs: Tuple[str, ...]
    nbytes: int


class OnnxGraph:
    """An ONNX graph whose every layer can be looked at.

    Attributes:
        layers: In an order of execution.
    """

    def __init__(self, path: Path, batch: int) -> None:
        import onnx

        try:
            self._model = onnx.load(str(path))
            self.layers = _layers(onnx, self._model, batch)
        except MemoryError:
            raise
        except Exception as error:  # the library's DecodeError lies in different modules from release to release
            raise RequestError(f"is no ONNX graph ({last_line(error)})", path) from None
        self.path = path
        self._own = {value.name for value in self._model.graph.output}

    def names(self) -> List[str]:
        """Return the names of the tensors that :meth:`run` can give."""
        return [layer.output for layer in self.layers]

    def run(self, feed: np.ndarray, outputs: Sequence[str]) -> Dict[str, np.ndarray]:
        """Return the named layer outputs for one batch; the runtime changes nothing about the graph.

        Raises:
            RequestError: ONNX Runtime cannot run the graph on this batch.
        """
        import onnx
        import onnxruntime

        wanted = onnx.ModelProto()
        wanted.CopyFrom(self._model)
        wanted.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs if name not in self._own)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(wanted.SerializeToString(), options, ["CPUExecutionProvider"])
            values = session.run(list(outputs), {session.get_inputs()[0].name: feed})
        except Exception as error:  # the runtime's exceptions have no common public base
            raise RequestError(f"ONNX Runtime cannot run it ({last_line(error)})", self.path, "export again") from None
        return dict(zip(outputs, values))


def _layers(onnx: Any, model: Any, batch: int) -> List[Layer]:
    sizes = _sizes(onnx, model, batch)
    produced = {name for node in model.graph.node for name in node.output}
    return [
        Layer(
            node.name or node.output[0],
            node.op_type,
            node.output[0],
            tuple(name for name in node.input if name in produced),
            sizes.get(node.output[0], 0),
        )
        for node in model.graph.node
    ]


def _sizes(onnx: Any, model: Any, batch: int) -> Dict[str, int]:
    """Return the bytes of every tensor whose shape can be inferred; a symbolic extent counts as ``batch``."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    sizes = {}
    for value in (*inferred.value_info, *inferred.output):
        extents = [dim.dim_value or batch for dim in value.type.tensor_type.shape.dim]
        sizes[value.name] = 4 * math.prod(extents)
    return sizes
