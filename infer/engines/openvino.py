"""OpenVINO on the CPU, in throughput mode: runs OpenVINO IR and ONNX."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Deque, Dict, List, Sequence

import numpy as np

from clip2om.infer.engines.base import Engine, Options, Result, spec_like
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.records import CompiledRecord
from clip2om.pipeline.telemetry import silence
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec

_DTYPES = {"f32": "float32", "f16": "float16", "u8": "uint8", "i8": "int8", "i32": "int32", "i64": "int64"}
# Ctrl-C is seen between two waits.
_WAIT_MS = 100


@dataclass(frozen=True)
class _Ticket:
    request: Any
    feed: np.ndarray
    start: float


class OpenVinoEngine(Engine):
    """Several asynchronous requests, each on its own stream; batches are read where they lie, without a copy."""

    name = "openvino"
    library = "openvino"
    distributions = ("openvino",)
    formats = ("openvino", "onnx")
    remedy = "pip install openvino"
    precisions = ("f32", "bf16")

    def __init__(self, folder: Path, record: CompiledRecord, options: Options) -> None:
        super().__init__(folder, record, options)
        self._compiled: Any = None
        self._requests: List[Any] = []
        self._free: Deque[Any] = deque()

    @property
    def requests(self) -> int:
        """Batches in flight: --requests, or what OpenVINO finds optimal for this processor."""
        return len(self._requests)

    def inputs(self) -> List[TensorSpec]:
        """Return the inputs as the compiled model reports them."""
        return [_spec(port, self.record.inputs) for port in self._compiled.inputs]

    def outputs(self) -> List[TensorSpec]:
        """Return the outputs as the compiled model reports them."""
        return [_spec(port, self.record.outputs) for port in self._compiled.outputs]

    def settings(self) -> Dict[str, Any]:
        """Return requests, streams and threads, and the precision of the arithmetic."""
        threads, precision = (
            self._compiled.get_property(key) for key in ("INFERENCE_NUM_THREADS", "INFERENCE_PRECISION_HINT")
        )
        return {
            "requests": self.requests,
            "streams": int(self._compiled.get_property("NUM_STREAMS")),
            "threads": int(threads),
            "arithmetic": precision.get_type_name(),
        }

    def close(self) -> None:
        """Drop requests and model."""
        self._free = deque()
        self._requests = []
        self._compiled = None

    def _open(self) -> None:
        silence()
        import openvino

        core = openvino.Core()
        check_precision(self.options.precision, core.get_property(self.device, "OPTIMIZATION_CAPABILITIES"))
        self._tensor = openvino.Tensor
        model = core.read_model(str(self.model))
        if any(port.get_partial_shape().is_dynamic for port in model.inputs):
            model.reshape({spec.name: openvino.PartialShape(list(spec.shape)) for spec in self.record.inputs})
        self._compiled = core.compile_model(model, self.device, self._config())
        count = self.options.requests or int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._requests = [self._compiled.create_infer_request() for _ in range(count)]
        self._free = deque(self._requests)

    def _config(self) -> Dict[str, Any]:
        """Return the compile options; by default processors that can would compute in bfloat16 or float16."""
        config: Dict[str, Any] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": self.options.precision,
        }
        if self.options.streams:
            config["NUM_STREAMS"] = self.options.streams
        if self.options.requests:
            config["PERFORMANCE_HINT_NUM_REQUESTS"] = self.options.requests
        return config

    def _submit(self, feed: np.ndarray) -> _Ticket:
        request = self._free.popleft()
        request.set_input_tensor(self._tensor(feed, shared_memory=True))
        start = time.perf_counter()
        request.start_async()
        return _Ticket(request, feed, start)

    def _collect(self, ticket: _Ticket) -> Result:
        request = ticket.request
        while not request.wait_for(_WAIT_MS):
            pass
        outputs = [np.array(tensor.data) for tensor in request.output_tensors]
        self._free.append(request)
        # OpenVINO takes the time itself, on the thread that finished the batch.
        return Result(outputs, ticket.start, ticket.start + request.latency / 1000)

    def _abandon(self, ticket: _Ticket) -> None:
        try:
            ticket.request.cancel()
            ticket.request.wait()
        except RuntimeError:
            pass  # this is how OpenVINO reports that the request was cancelled
        self._free.append(ticket.request)


def check_precision(precision: str, able: Sequence[str]) -> None:
    """Refuse bf16 on a processor whose capabilities (``able``, as OpenVINO lists them) do not have it.

    Raises:
        RequestError: they do not.
    """
    if precision == "bf16" and "BF16" not in able:
        raise RequestError("this processor cannot compute in bf16", "--precision bf16", "use --precision f32")


def _spec(port: Any, expected: Sequence[TensorSpec]) -> TensorSpec:
    shape = [extent.get_length() if extent.is_static else DYNAMIC for extent in port.get_partial_shape()]
    kind = port.get_element_type().get_type_name()
    return spec_like(expected, port.get_names(), _DTYPES.get(kind, kind), shape)
