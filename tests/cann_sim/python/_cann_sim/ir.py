"""OpenVINO's form of a graph, which the simulator keeps in an .om that was not ONNX, and executes."""

from __future__ import annotations

import struct
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List

import numpy as np

from _cann_sim import knobs

_SIZE = struct.Struct("<Q")


def load_openvino() -> Any:
    """Return the module; without this it would report its import over the network."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def pack(model: Any) -> bytes:
    """Return a model as bytes: the size of its XML, the XML, the weights."""
    openvino = load_openvino()
    with tempfile.TemporaryDirectory() as folder:
        xml, weights = Path(folder) / "model.xml", Path(folder) / "model.bin"
        openvino.serialize(model, str(xml), str(weights))
        text, values = xml.read_bytes(), weights.read_bytes()
    return _SIZE.pack(len(text)) + text + values


class IrSession:
    """Executes a packed model in float32; shapes are those of the feeds."""

    def __init__(self, packed: bytes) -> None:
        openvino = load_openvino()
        (size,) = _SIZE.unpack_from(packed)
        text, values = packed[_SIZE.size : _SIZE.size + size], packed[_SIZE.size + size :]
        core = openvino.Core()
        model = core.read_model(text, openvino.Tensor(np.frombuffer(values, np.uint8)))
        config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": int(knobs.number("THREADS"))}
        self._compiled = core.compile_model(model, "CPU", config)

    def run(self, feeds: Dict[str, np.ndarray]) -> List[np.ndarray]:
        """Return the outputs for inputs by name; one that no output needs is not read."""
        wanted = {port.get_any_name() for port in self._compiled.inputs}
        results = self._compiled({name: value for name, value in feeds.items() if name in wanted})
        return [np.array(results[port]) for port in self._compiled.outputs]
