"""The other side of a drift: a compiled model on the CPU, another graph, or what an NPU host dumped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict, List, Protocol, Sequence

import numpy as np

from clip2om.pipeline.errors import RequestError, last_line
from clip2om.pipeline.records import CompiledRecord, read_record
from clip2om.pipeline.tensor import TensorSpec, check_feed
from clip2om.scripts.drift.graph import Layer, OnnxGraph


class Side(Protocol):
    """What gives layer outputs under the names of the reference graph's tensors."""

    def names(self) -> List[str]:
        """Return the tensors it can give."""

    def run(self, feed: np.ndarray, outputs: Sequence[str]) -> Dict[str, np.ndarray]:
        """Return the named tensors for one batch."""


class OpenVinoModel:
    """An OpenVINO IR, float32 or quantized; conversion keeps the graph's tensor names where it keeps the tensor.

    A layer whose output is asked for is not fused with its successor, so int8 layers may round where the model as
    compiled does not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ports = _ports(self._read())

    def names(self) -> List[str]:
        """Return the names of all tensors in the model."""
        return list(self._ports)

    def run(self, feed: np.ndarray, outputs: Sequence[str]) -> Dict[str, np.ndarray]:
        """Return the named layer outputs for one batch, computed in float32 where the model does not say int8.

        Raises:
            RequestError: OpenVINO cannot run the model on this batch.
        """
        import openvino

        try:
            model = self._read()
            own = {name for port in model.outputs for name in port.get_names()}
            model.add_outputs([name for name in outputs if name not in own])
            compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            results = compiled([feed])
            return {name: np.array(results[compiled.output(name)]) for name in outputs}
        except RuntimeError as error:
            raise RequestError(f"OpenVINO cannot run it ({last_line(error)})", self.path, "convert again") from None

    def _read(self) -> Any:
        import openvino

        try:
            return openvino.Core().read_model(str(self.path))
        except RuntimeError as error:
            raise RequestError(f"OpenVINO cannot read it ({last_line(error)})", self.path, "convert again") from None


class Dumps:
    """Layer outputs of an NPU host, for the batch that it was given there."""

    def __init__(self, folder: Path, layers: Sequence[Layer]) -> None:
        from clip2om.scripts.drift.npu_dump import read_dumps

        self._values: Dict[str, np.ndarray] = {}
        by_name = {spelling: layer for layer in layers for spelling in (_plain(layer.name), layer.name)}
        for tensor in read_dumps(folder):
            layer = by_name.get(tensor.original) or by_name.get(tensor.operator) or _fused(tensor.operator, layers)
            if layer is not None and tensor.index == 0:
                self._values[layer.output] = tensor.values
        if not self._values:
            raise RequestError(
                "none of the dumped operators is a layer of the graph", folder, "dump the .om made from this graph"
            )

    def names(self) -> List[str]:
        """Return the tensors that were dumped."""
        return list(self._values)

    def run(self, feed: np.ndarray, outputs: Sequence[str]) -> Dict[str, np.ndarray]:
        """Return the named tensors as they were dumped, whatever ``feed`` is."""
        return {name: self._values[name] for name in outputs}


def open_side(path: Path, layers: Sequence[Layer], feed: TensorSpec) -> Side:
    """Return the other side at ``path``: a compiled model's folder, an .onnx or .xml file, or a folder of dumps.

    Raises:
        RequestError: there is nothing of the kind, or the compiled model does not take ``feed``.
    """
    if path.suffix == ".onnx" and path.is_file():
        return OnnxGraph(path, feed.batch)
    if path.suffix == ".xml" and path.is_file():
        return OpenVinoModel(path)
    if (path / "model.json").is_file():
        record = read_record(path / "model.json", CompiledRecord, "run make om")
        check_feed(record.inputs[0], feed, path / record.file, "the batches")
        if record.format == "openvino":
            return OpenVinoModel(path / record.file)
        if record.format == "onnx":
            return OnnxGraph(path / record.file, feed.batch)
        raise RequestError(
            f"is a model of format {record.format!r}, whose layers cannot be looked at here",
            path,
            "for an .om pass the folder that the NPU host dumped (docs/drift.md)",
        )
    if path.is_dir():
        return Dumps(path, layers)
    raise RequestError("no such model, graph or folder of dumps", path, "check --against")


def _ports(model: Any) -> Dict[str, Any]:
    return {name: port for op in model.get_ordered_ops() for port in op.outputs() for name in port.get_names()}


def _plain(name: str) -> str:
    """Return a node's name as the files of a dump spell it."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def _fused(operator: str, layers: Sequence[Layer]) -> Any:
    """Return the layer whose output a fused operator gives: ATC strings the names together, the last one last."""
    ends = [layer for layer in layers if operator.endswith(_plain(layer.name))]
    return max(ends, key=lambda layer: len(layer.name), default=None)
