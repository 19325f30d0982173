"""pyACL: an Ascend NPU, driven for speed.

Each slot has its own stream, and several are in flight, so that the copy to the device, the execution and the copy
back overlap between batches. Executions follow each other through events (``--streams`` at a time), which leaves the
throughput at that of the slowest stage and makes the device's own time of each execution comparable with ais_bench's.

Verified against the documented contract of CANN 6 to 9 (simulated), not yet on hardware; of CANN 5 the events of one
kind are used, which is inferred.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Deque, Dict, List, Optional

import numpy as np

from clip2om.infer.engines.acl_library import HungError, Library, Resources, load_module
from clip2om.infer.engines.acl_memory import MemoryLog, PinnedPool
from clip2om.infer.engines.acl_model import Description, check_sizes, describe
from clip2om.infer.engines.acl_slot import Slot, load
from clip2om.infer.engines.base import Engine, Options, Result
from clip2om.infer.engines.om import check_om_options, device_name, same_family
from clip2om.pipeline.ascend_host import ROOT, find_cann
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.records import CompiledRecord
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec
from clip2om.pipeline.undisturbed import leave_at_once, undisturbed

# One batch on its way in, one on its way out, and one ready to go, besides those that are computed.
_SPARE_SLOTS = 3
_READ_AHEAD = 2


@dataclass(frozen=True)
class _Ticket:
    slot: Slot
    feed: np.ndarray
    outputs: List[TensorSpec]
    start: float


class AclEngine(Engine):
    """A model on one NPU; several devices are several engines, each in a process of its own."""

    name = "acl"
    library = "acl"
    distributions = ()
    formats = ("om",)
    # node:0:name is documented for ONNX only, and long names are replaced.
    names_outputs = False
    remedy = "source set_env.sh of CANN"

    def __init__(self, folder: Path, record: CompiledRecord, options: Options) -> None:
        super().__init__(folder, record, options)
        self._resources: Optional[Resources] = None
        self._pool: Optional[PinnedPool] = None
        self._described = Description([], [])
        self._free: Deque[Slot] = deque()
        self._flying: Deque[Slot] = deque()
        self._memory: Optional[MemoryLog] = None
        self._hung = False

    @classmethod
    def version(cls) -> str:
        """Return the version of CANN, as its files have it."""
        found = find_cann(ROOT, os.environ)
        return (found.version if found else "") or "unknown"

    @property
    def device(self) -> str:
        """SOC and number of the device."""
        return device_name(self.record, self.options)

    @property
    def precision(self) -> str:
        """What the model was compiled to."""
        return self.record.precision

    @property
    def streams(self) -> int:
        """Executions at the same time: --streams, by default one."""
        return self.options.streams or 1

    @property
    def requests(self) -> int:
        """Batches in flight: --requests, by default three more than are computed at the same time."""
        return self.options.requests or self.streams + _SPARE_SLOTS

    @property
    def read_ahead(self) -> int:
        """Batches to read beforehand: few, because each takes page-locked memory."""
        return _READ_AHEAD

    def check_options(self) -> None:
        """Refuse options that an .om does not have."""
        check_om_options(self)

    def inputs(self) -> List[TensorSpec]:
        """Return the inputs as the loaded model reports them, the hidden one of gears apart."""
        return [port.spec for port in self._described.inputs]

    def outputs(self) -> List[TensorSpec]:
        """Return the outputs as the loaded model reports them."""
        return [port.spec for port in self._described.outputs]

    def settings(self) -> Dict[str, Any]:
        """Return requests and streams."""
        return {"requests": self.requests, "streams": self.streams}

    def observed(self) -> Dict[str, Any]:
        """Return the device's memory in use."""
        seen = self._memory.seen() if self._memory is not None else None
        return {} if seen is None else {"memory": seen}

    def allocate(self, spec: TensorSpec) -> np.ndarray:
        """Return page-locked memory to read into, ordinary memory where none is left."""
        lent = self._pool.lend(spec) if self._pool is not None else None
        return super().allocate(spec) if lent is None else lent

    def close(self) -> None:
        """Wait for what runs, release everything, reset the device, finalize."""
        resources, self._resources = self._resources, None
        if self._hung:
            # Whatever waits for the device would wait for ever; the end of the process releases it.
            resources = None
        if self._pool is not None:
            self._pool.forget()
        self._pool = None
        self._free, self._flying = deque(), deque()
        if resources is not None:
            resources.release()

    def _open(self) -> None:
        module = load_module()
        number = (*self.options.devices, 0)[0]
        library = Library(module, f"{self.model} on device {number}")
        self._resources = resources = Resources(library)
        resources.initialize(module)
        _check_device(library, number)
        resources.set_device(number)
        _check_soc(getattr(module, "get_soc_name", str)(), self.record.soc, self.model)
        models = load(library, resources, str(self.model), self.requests)
        desc = resources.ask("description", "mdl.create_desc")
        library.act("mdl.get_desc", desc, models[0])
        self._described = describe(library, desc, self.record.inputs, self.record.outputs)
        self._check_description()
        self._free.extend(Slot(library, resources, model, self._described) for model in models)
        self._memory = MemoryLog(library)
        count = self.requests + self.read_ahead + 2
        self._pool = PinnedPool(resources, self._described.inputs[0].size, count)

    def _check_description(self) -> None:
        found, expected = self._described, self.record
        if found.gears != tuple(expected.gears):
            listed = [", ".join(map(str, gears)) or "none" for gears in (found.gears, expected.gears)]
            raise RequestError(
                f"has the batch gears {listed[0]}, its record says {listed[1]}", self.model, "convert again"
            )
        check_sizes(found, expected.batch, self.model)

    def _submit(self, feed: np.ndarray) -> _Ticket:
        feed = self._page_locked(feed)
        items = feed.shape[0] // self.record.inputs[0].folded
        outputs = [spec.with_batch(items) if spec.batch == DYNAMIC else spec for spec in self.record.outputs]
        # A batch is queued whole or not at all.
        with undisturbed():
            slot = self._free.popleft()
            slot.set_gear(feed.shape[0])
            after = self._flying[-self.streams].done if len(self._flying) >= self.streams else None
            self._flying.append(slot)
            start = time.perf_counter()
            slot.start(feed, outputs, after)
        return _Ticket(slot, feed, outputs, start)

    def _page_locked(self, feed: np.ndarray) -> np.ndarray:
        if self._pool is None:
            raise RuntimeError("the engine is not open")
        if self._pool.holds(feed):
            return feed
        own = self._pool.lend(self.record.inputs[0].with_batch(feed.shape[0] // self.record.inputs[0].folded))
        if own is None:
            raise RuntimeError("all page-locked buffers are in use")
        np.copyto(own, feed)
        return own

    def _collect(self, ticket: _Ticket) -> Result:
        slot = ticket.slot
        with undisturbed(leave_at_once):
            self._wait(slot)
            end = time.perf_counter()
            outputs = slot.outputs(ticket.outputs)
            # With several executions at a time, the device's clock has the others' share too.
            stages = slot.stages_ms() if self.streams == 1 else None
            self._land(slot)
        if self._memory is not None:
            self._memory.note()
        if stages is None:
            return Result(outputs, ticket.start, end)
        into, alone, out = stages
        return Result(outputs, ticket.start, end, alone, (into, out))

    def _wait(self, slot: Slot) -> None:
        try:
            slot.wait()
        except HungError:
            self._hung = True
            raise

    def _abandon(self, ticket: _Ticket) -> None:
        # Whatever failed, nobody wants this batch, and the stream is idle now.
        with undisturbed(leave_at_once, leaving=True), contextlib.suppress(RequestError):
            if not self._hung:
                self._wait(ticket.slot)
        self._land(ticket.slot)

    def _land(self, slot: Slot) -> None:
        # Ctrl-C between collecting a batch and noting it has the batch abandoned, too.
        if slot in self._flying:
            self._flying.remove(slot)
            self._free.append(slot)


def _check_device(library: Library, number: int) -> None:
    count = library.take("rt.get_device_count")
    if number >= count:
        known = f"this process sees {count} ({', '.join(map(str, range(count)))})"
        raise RequestError(
            f"there is no device {number}, {known}",
            "--devices",
            "see npu-smi info -m and ASCEND_RT_VISIBLE_DEVICES",
        )


def _check_soc(found: Optional[str], expected: str, model: Path) -> None:
    """Refuse a model of another family; where CANN does not tell the chip, or it is a variant, loading decides."""
    if found and not same_family(found, expected):
        raise RequestError(f"was compiled for {expected}, this host has {found}", model, f"convert with --soc {found}")
