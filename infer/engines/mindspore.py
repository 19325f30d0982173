"""MindSpore: runs a MINDIR on the CPU, or on an Ascend device that MindSpore itself drives.

Tried with MindSpore 2.10 on a CPU, where 3-D convolutions run its reference code and are very slow; never on an NPU.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, List, Optional, Sequence

import numpy as np

from clip2om.infer.engines.base import Engine, EngineMissingError, Result
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.soc import CPU
from clip2om.pipeline.tensor import TensorSpec

# Numbers of the type enumeration in a MINDIR, which is that of ONNX.
_DTYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 10: "float16"}
_CRITICAL_ONLY = "4"


class MindSporeEngine(Engine):
    """One graph, compiled when the first batch comes, run by one thread; a batch is copied once, into MindSpore.

    The model's SOC says where it runs. A MINDIR knows inputs and outputs by place, not by the card's names.
    """

    name = "mindspore"
    library = "mindspore"
    distributions = ("mindspore",)
    formats = ("mindir",)
    remedy = "make .venv/mindspore/.ready, then .venv/mindspore/bin/python -m infer (make: GRAPH_FORMAT=mindir)"
    names_outputs = False
    _cell: Any = None
    _inputs: Sequence[TensorSpec] = ()
    _outputs: Sequence[TensorSpec] = ()
    _pool: Optional[ThreadPoolExecutor] = None

    @property
    def on_ascend(self) -> bool:
        """Whether the model is for an NPU."""
        return self.record.soc != CPU

    @property
    def device(self) -> str:
        """What computes, in words."""
        return f"{self.record.soc}, device {self._number}" if self.on_ascend else "CPU"

    @property
    def requests(self) -> int:
        """Batches in flight: --requests, by default one that runs, and on an NPU one that waits.

        Every one is a batch of warm-up, and on a CPU a batch may take minutes.
        """
        return self.options.requests or (2 if self.on_ascend else 1)

    def check_options(self) -> None:
        """Refuse options that this engine does not have.

        Raises:
            RequestError: naming the option.
        """
        if self.options.streams not in (None, 1):
            raise RequestError(
                "the mindspore engine runs one batch after the other", "--streams", "leave --streams out"
            )
        if len(self.options.devices) > 1:
            raise RequestError("the mindspore engine drives one NPU", "--devices", "name one")
        if not self.on_ascend or self.options.precision not in self.precisions:
            super().check_options()

    def inputs(self) -> List[TensorSpec]:
        """Return the inputs as the MINDIR describes them, under the record's names."""
        return list(self._inputs)

    def outputs(self) -> List[TensorSpec]:
        """Return the outputs as the MINDIR describes them, under the record's names."""
        return list(self._outputs)

    def close(self) -> None:
        """Stop the thread and drop the graph."""
        if self._pool is not None:
            self._pool.shutdown()
        self._pool = self._cell = None

    def _open(self) -> None:
        # It reports on stderr what no user of a stage asked for; its exceptions say the same.
        os.environ.setdefault("GLOG_v", _CRITICAL_ONLY)
        import mindspore
        from mindspore.train import mind_ir_pb2

        self._choose_device(mindspore)
        model = mind_ir_pb2.ModelProto()
        model.ParseFromString(self.model.read_bytes())
        self._inputs = _specs(model.graph.input, self.record.inputs)
        self._outputs = _specs(model.graph.output, self.record.outputs)
        self._tensor = mindspore.Tensor
        self._cell = mindspore.nn.GraphCell(mindspore.load(str(self.model)))
        self._pool = ThreadPoolExecutor(1)

    @property
    def _number(self) -> int:
        return self.options.devices[0] if self.options.devices else 0

    def _choose_device(self, mindspore: Any) -> None:
        if self.on_ascend and not mindspore.device_context.ascend.is_available():
            raise EngineMissingError(
                f"was made for {self.record.soc}, and MindSpore finds no Ascend backend here",
                self.model,
                "source set_env.sh of CANN first, or convert with --soc cpu",
            )
        mindspore.set_context(mode=mindspore.GRAPH_MODE)
        wanted = ("Ascend", self._number) if self.on_ascend else ("CPU", 0)
        # A process chooses once: asking again is refused, even for what it already has.
        if (mindspore.get_context("device_target"), mindspore.get_context("device_id")) != wanted:
            mindspore.set_device(*wanted)

    def _submit(self, feed: np.ndarray) -> Future[Result]:
        if self._pool is None:
            raise RuntimeError("the engine is not open")
        return self._pool.submit(self._run, feed)

    def _run(self, feed: np.ndarray) -> Result:
        start = time.perf_counter()
        outputs = self._cell(self._tensor(feed))
        arrays = [output.asnumpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]
        return Result(arrays, start, time.perf_counter())

    def _collect(self, ticket: Future[Result]) -> Result:
        return ticket.result()

    def _abandon(self, ticket: Future[Result]) -> None:
        if not ticket.cancel():
            ticket.exception()


def _specs(values: Sequence[Any], expected: Sequence[TensorSpec]) -> List[TensorSpec]:
    known = [*expected, *(TensorSpec(value.name, "", (), "") for value in values[len(expected) :])]
    return [
        TensorSpec(spec.name, _DTYPES.get(value.tensor[0].data_type, "?"), tuple(value.tensor[0].dims), spec.layout)
        for value, spec in zip(values, known)
    ]
