"""An engine without a library: adds up its clips; device 0 takes fifty times as long as the others."""

from __future__ import annotations

import time
from typing import List, Tuple

import numpy as np

from clip2om.infer.engines.base import Engine, Result
from clip2om.pipeline.tensor import TensorSpec


class SleepingEngine(Engine):
    name = "sleeping"
    library = "numpy"
    distributions = ("numpy",)
    formats = ("onnx",)
    remedy = "none"
    requests = 1
    read_ahead = 0

    def check_options(self) -> None:
        pass

    def inputs(self) -> List[TensorSpec]:
        return self.record.inputs

    def outputs(self) -> List[TensorSpec]:
        return self.record.outputs

    def close(self) -> None:
        pass

    def _open(self) -> None:
        pass

    def _submit(self, feed: np.ndarray) -> Tuple[np.ndarray, float]:
        return feed, time.perf_counter()

    def _collect(self, ticket: Tuple[np.ndarray, float]) -> Result:
        feed, start = ticket
        time.sleep(0.1 if self.options.devices == (0,) else 0.002)
        (spec,) = self.record.outputs
        sums = feed.reshape(len(feed), -1).sum(1, dtype="float32", keepdims=True)
        return Result([np.repeat(sums, spec.shape[1], 1)], start, time.perf_counter(), 1.0)

    def _abandon(self, ticket: Tuple[np.ndarray, float]) -> None:
        pass


class BreakingEngine(SleepingEngine):
    name = "breaking"

    def _collect(self, ticket: Tuple[np.ndarray, float]) -> Result:
        raise MemoryError("no more")
