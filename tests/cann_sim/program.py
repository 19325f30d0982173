"""A minimal correct acl program, which the simulator's tests vary."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List

import numpy as np

from tests.cann_sim.samples import CLASSES, DIMS

BATCH = 2
IN_BYTES = BATCH * int(np.prod(DIMS)) * 4
OUT_BYTES = BATCH * CLASSES * 4
H2D, D2H = 1, 2


def good(result: Any) -> Any:
    """The value of (value, ret) or the 0 of ret, which must be 0."""
    code = result[-1] if isinstance(result, tuple) else result
    assert code == 0, result
    return result[0] if isinstance(result, tuple) else None


class Program:
    """A minimal correct program: one slot with its own stream, model, buffers and datasets."""

    def __init__(self, acl: Any, om: Path, device: int = 0) -> None:
        self.acl, self.om, self.device = acl, om, device
        good(acl.init())
        good(acl.rt.set_device(device))
        self.context = good(acl.rt.create_context(device))
        self.stream = good(acl.rt.create_stream())
        self.model = good(acl.mdl.load_from_file(str(om)))
        self.desc = acl.mdl.create_desc()
        good(acl.mdl.get_desc(self.desc, self.model))
        mdl = acl.mdl
        sizes = [mdl.get_input_size_by_index(self.desc, i) for i in range(mdl.get_num_inputs(self.desc))]
        results = [mdl.get_output_size_by_index(self.desc, i) for i in range(mdl.get_num_outputs(self.desc))]
        self.host_in, self.host_out = good(acl.rt.malloc_host(sizes[0])), good(acl.rt.malloc_host(results[0]))
        self.device_in = [good(acl.rt.malloc(size, 0)) for size in sizes]
        self.device_out = [good(acl.rt.malloc(size, 0)) for size in results]
        self.buffers: List[int] = []
        self.feeds = self._dataset(self.device_in, sizes)
        self.results = self._dataset(self.device_out, results)
        self.in_size, self.out_size = sizes[0], results[0]

    def _dataset(self, pointers: List[int], sizes: List[int]) -> int:
        dataset = self.acl.mdl.create_dataset()
        for pointer, size in zip(pointers, sizes):
            self.buffers.append(self.acl.create_data_buffer(pointer, size))
            assert self.acl.mdl.add_dataset_buffer(dataset, self.buffers[-1]) == (dataset, 0)
        return dataset

    def view_in(self, batch: int = BATCH) -> np.ndarray:
        return self.acl.util.ptr_to_numpy(self.host_in, (batch, *DIMS), 11)

    def view_out(self, batch: int = BATCH) -> np.ndarray:
        return self.acl.util.ptr_to_numpy(self.host_out, (batch, CLASSES), 11)

    def submit(self, in_bytes: int = IN_BYTES, out_bytes: int = OUT_BYTES) -> None:
        acl = self.acl
        good(acl.rt.memcpy_async(self.device_in[0], self.in_size, self.host_in, in_bytes, H2D, self.stream))
        good(acl.mdl.execute_async(self.model, self.feeds, self.results, self.stream))
        good(acl.rt.memcpy_async(self.host_out, self.out_size, self.device_out[0], out_bytes, D2H, self.stream))

    def close(self) -> None:
        acl = self.acl
        for dataset in (self.feeds, self.results):
            good(acl.mdl.destroy_dataset(dataset))
        for buffer in self.buffers:
            good(acl.destroy_data_buffer(buffer))
        good(acl.mdl.destroy_desc(self.desc))
        good(acl.mdl.unload(self.model))
        for pointer in (*self.device_in, *self.device_out):
            good(acl.rt.free(pointer))
        good(acl.rt.free_host(self.host_in))
        good(acl.rt.free_host(self.host_out))
        good(acl.rt.destroy_stream(self.stream))
        good(acl.rt.destroy_context(self.context))
        good(acl.rt.reset_device(self.device))
        good(acl.finalize())
