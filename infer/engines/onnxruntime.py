"""ONNX Runtime on the CPU: for hosts that OpenVINO has no wheel for."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from clip2om.infer.engines.base import Engine, Result, spec_like
from clip2om.pipeline.facts import usable_cores
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}
_ERRORS_ONLY = 3


class OnnxRuntimeEngine(Engine):
    """One session; ``streams`` threads run batches in it (default one), each with its share of the cores."""

    name = "onnxruntime"
    library = "onnxruntime"
    distributions = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-cann")
    formats = ("onnx",)
    remedy = "pip install onnxruntime"
    _session: Any = None
    _pool: Optional[ThreadPoolExecutor] = None

    @property
    def streams(self) -> int:
        """Batches computed at the same time."""
        return self.options.streams or 1

    @property
    def requests(self) -> int:
        """Batches in flight: --requests, by default one more than streams, so that none of these waits for a batch."""
        return self.options.requests or self.streams + 1

    @property
    def threads(self) -> int:
        """Threads that one batch may use; the session's own threads and the callers together fill the cores."""
        return max(1, usable_cores() - self.streams + 1)

    def inputs(self) -> List[TensorSpec]:
        """Return the inputs as the session reports them."""
        return [_spec(node, self.record.inputs) for node in self._session.get_inputs()]

    def outputs(self) -> List[TensorSpec]:
        """Return the outputs as the session reports them."""
        return [_spec(node, self.record.outputs) for node in self._session.get_outputs()]

    def settings(self) -> Dict[str, Any]:
        """Return requests, streams and threads."""
        return {"requests": self.requests, "streams": self.streams, "threads": self.threads}

    def close(self) -> None:
        """Stop the threads and drop the session."""
        if self._pool is not None:
            self._pool.shutdown()
        self._pool = self._session = None

    def _open(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = _ERRORS_ONLY
        self._session = onnxruntime.InferenceSession(str(self.model), options, providers=["CPUExecutionProvider"])
        self._pool = ThreadPoolExecutor(self.streams)

    def _submit(self, feed: np.ndarray) -> Future[Result]:
        if self._pool is None:
            raise RuntimeError("the engine is not open")
        return self._pool.submit(self._run, feed)

    def _run(self, feed: np.ndarray) -> Result:
        start = time.perf_counter()
        outputs = self._session.run(None, {self.record.inputs[0].name: feed})
        return Result(outputs, start, time.perf_counter())

    def _collect(self, ticket: Future[Result]) -> Result:
        return ticket.result()

    def _abandon(self, ticket: Future[Result]) -> None:
        if not ticket.cancel():
            ticket.exception()


def _spec(node: Any, expected: Sequence[TensorSpec]) -> TensorSpec:
    shape = [extent if isinstance(extent, int) else DYNAMIC for extent in node.shape]
    return spec_like(expected, [node.name], _DTYPES.get(node.type, node.type), shape)
