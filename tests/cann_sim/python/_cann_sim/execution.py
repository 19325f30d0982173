"""Datasets, and the execution of a model on them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional, Tuple

import numpy as np

from _cann_sim import errors, knobs, models, state
from _cann_sim.errors import AclError
from _cann_sim.models import Model
from _cann_sim.om import Tensor
from _cann_sim.race import Access, Task
from _cann_sim.stream import Stream
from _cann_sim.violation import violate, warn

# [S] a buffer up to this much too small passes the size check.
_SLACK = 64


@dataclass(eq=False)
class DataBuffer:
    """Address and size of one tensor; owns nothing."""

    ptr: int
    size: int
    handle: int = 0
    users: List[int] = field(default_factory=list)


@dataclass(eq=False)
class Dataset:
    """The data buffers of all inputs or outputs, in tensor order, and the gear chosen for them."""

    buffers: List[DataBuffer] = field(default_factory=list)
    gear: Optional[int] = None
    handle: int = 0


def required_inputs(model: Model) -> List[int]:
    """Return the bytes that each input needs: gear models those of the largest gear."""
    gears = model.om.gears
    if gears is None:
        return [tensor.nbytes() for tensor in model.om.inputs]
    largest = gears.inputs[gears.largest]
    sizes = [tensor.nbytes(dims) for tensor, dims in zip(model.om.inputs, largest)]
    return model.whole(sizes, model.inputs[model.hidden].nbytes() if model.hidden is not None else 0)


def required_outputs(model: Model) -> List[int]:
    """Return the bytes that each output needs; CANN_SIM_OUTPUT_PADDING adds what a chip may pad [D]."""
    gears = model.om.gears
    padding = int(knobs.number("OUTPUT_PADDING"))
    dims = [tensor.dims for tensor in model.om.outputs] if gears is None else gears.outputs[gears.largest]
    return [tensor.nbytes(extent) + padding for tensor, extent in zip(model.om.outputs, dims)]


@dataclass
class Plan:
    """One execution as it was asked for: later changes of the datasets do not matter to it."""

    model: Model
    inputs: List[Tuple[int, int]]
    outputs: List[Tuple[int, int]]
    gear: Optional[int]
    explicit: bool

    def input_dims(self) -> List[List[int]]:
        """The dims of the visible inputs."""
        gears = self.model.om.gears
        if gears is None or self.gear is None:
            return [tensor.dims for tensor in self.model.om.inputs]
        return gears.inputs[self.gear]

    def output_dims(self) -> List[List[int]]:
        """The dims of the outputs."""
        gears = self.model.om.gears
        if gears is None or self.gear is None:
            return [tensor.dims for tensor in self.model.om.outputs]
        return gears.outputs[self.gear]

    def check_gear(self) -> None:
        """Compare the gear with what the hidden input holds on the device at this moment."""
        gears = self.model.om.gears
        if gears is None or self.gear is None or not self.explicit:
            return
        assert self.model.hidden is not None
        hidden = self.model.inputs[self.model.hidden]
        ptr, _ = self.inputs[self.model.hidden]
        found = state.process.memory.resolve(ptr, hidden.nbytes(), "the gear input").view().view(hidden.dtype).tolist()
        if found != gears.values[self.gear]:
            raise violate(f"the gear buffer holds {found}, the dataset was set to {gears.values[self.gear]}")

    def run(self) -> None:
        """Execute: read the inputs from device memory, write the outputs there."""
        self.check_gear()
        models.check_weights(self.model)
        if knobs.flag("NULL_COMPUTE"):
            results = [np.zeros(dims, t.dtype) for t, dims in zip(self.model.om.outputs, self.output_dims())]
        else:
            results = self.model.session.run(self._feeds())
        for (ptr, _), result in zip(self.outputs, results):
            data = np.ascontiguousarray(result).reshape(-1).view(np.uint8)
            state.process.memory.resolve(ptr, data.size, "an output of the model").view()[:] = data

    def _feeds(self) -> Dict[str, np.ndarray]:
        feeds = {}
        visible = self.model.visible(self.inputs)
        for tensor, dims, (ptr, _) in zip(self.model.om.inputs, self.input_dims(), visible):
            region = state.process.memory.resolve(ptr, tensor.nbytes(dims), f"input {tensor.name}")
            feeds[tensor.name] = region.view().view(tensor.dtype).reshape(dims)
        return feeds


def make_plan(model_id: int, input_set: int, output_set: int, what: str, asynchronous: bool) -> Plan:
    """Check one execution as real software does, and beyond.

    Raises:
        AclError: null datasets or buffers 100000, unknown model 145003, number of buffers or sizes 145000.
        ContractViolation: what real software would not notice.
    """
    process = state.process
    feeds = process.handles.get(input_set, Dataset, what)
    results = process.handles.get(output_set, Dataset, what)
    model = models.find(model_id)
    models.check_context(model, what)
    if any(-1 in tensor.dims for tensor in model.om.inputs) and model.om.gears is None:
        raise violate(f"{what}: the simulator does not execute models with unbounded shapes")
    gear, explicit = _gear(model, feeds)
    _check_count(model, feeds, results)
    _check_sizes("input", feeds, required_inputs(model), gear if explicit else None)
    if not asynchronous:
        _allocate_missing(model, results)
    _check_sizes("output", results, required_outputs(model), gear if explicit else None)
    plan = Plan(model, _pairs(feeds), _pairs(results), gear, explicit)
    _check_places(plan, what)
    return plan


def _gear(model: Model, feeds: Dataset) -> Tuple[Optional[int], bool]:
    if model.om.gears is None:
        return None, False
    if feeds.gear is None:
        warn(f"model {model.number} with gears is executed without a gear set: the largest is used")
        return model.om.gears.largest, False
    return feeds.gear, True


def _check_count(model: Model, feeds: Dataset, results: Dataset) -> None:
    if (len(feeds.buffers), len(results.buffers)) != (len(model.inputs), len(model.om.outputs)):
        raise AclError(
            errors.GE_PARAM_INVALID,
            "E13025: The number of inputs or outputs provided by the user is inconsistent with that required by the "
            f"model: {len(feeds.buffers)} and {len(results.buffers)}, {len(model.inputs)} and "
            f"{len(model.om.outputs)} needed",
        )


def _check_sizes(role: str, dataset: Dataset, required: List[int], gear: Optional[int]) -> None:
    for index, (buffer, needed) in enumerate(zip(dataset.buffers, required)):
        if buffer.handle == 0:
            raise violate(f"data buffer {index} of the {role} dataset was destroyed")
        if buffer.ptr == 0:
            raise AclError(errors.INVALID_PARAM, f"EH0002: data of {role} {index} must not be null.")
        # [S] With a gear set there is no size check at all; the real allocation is checked at execution.
        if gear is not None:
            continue
        if buffer.size + _SLACK < needed:
            raise AclError(
                errors.GE_PARAM_INVALID,
                f"E13025: The {role} memory size set by the user is invalid: {role} {index} needs {needed}, "
                f"has {buffer.size}",
            )
        if buffer.size < needed:
            raise violate(f"{role} {index} has {buffer.size} bytes, the model needs {needed}: too small, not noticed")
        if buffer.size > needed:
            warn(f"{role} {index} has {buffer.size} bytes, the model needs {needed}")


def _allocate_missing(model: Model, results: Dataset) -> None:
    # [D] synchronous execution allocates outputs that are (0, 0); the caller has to free them.
    for buffer, needed in zip(results.buffers, required_outputs(model)):
        if buffer.ptr == 0 and buffer.size == 0 and buffer.handle:
            buffer.ptr = state.process.memory.malloc(needed, model.device, model.context)
            buffer.size = needed


def _pairs(dataset: Dataset) -> List[Tuple[int, int]]:
    return [(buffer.ptr, buffer.size) for buffer in dataset.buffers]


def _extents(plan: Plan) -> List[Tuple[str, int, int, bool]]:
    """Return name, address, bytes really used and whether written, of every buffer."""
    inputs: List[Tensor] = plan.model.inputs
    hidden = plan.model.hidden
    dims = plan.model.whole(plan.input_dims(), inputs[hidden].dims if hidden is not None else [])
    used = [(f"input {t.name}", p, t.nbytes(d), False) for t, d, (p, _) in zip(inputs, dims, plan.inputs)]
    outputs = zip(plan.model.om.outputs, plan.output_dims(), plan.outputs)
    return used + [(f"output {t.name}", p, t.nbytes(d), True) for t, d, (p, _) in outputs]


def _check_places(plan: Plan, what: str) -> None:
    memory = state.process.memory
    for name, ptr, count, _ in _extents(plan):
        region = memory.resolve(ptr, count, f"{what} ({name})")
        if not region.on_device and not memory.unified:
            raise violate(f"{what}: {name} is {region.kind} host memory")
        if region.block is not None and region.on_device and region.block.device != plan.model.device:
            raise violate(f"{what}: {name} is on device {region.block.device}, the model on {plan.model.device}")


def _accesses(plan: Plan, handles: List[int]) -> List[Access]:
    found = [Access(ptr, ptr + count, written, name) for name, ptr, count, written in _extents(plan)]
    number = plan.model.number
    # [D] One model id must not be in flight on two streams, whatever orders them.
    found.append(Access(number, number + 1, True, f"an execution of model {number}", alone=True))
    found += [Access(handle, handle + 1, False, "an execution's dataset") for handle in handles]
    if plan.model.work is not None:
        found.append(Access(plan.model.work.base, plan.model.work.end, True, "a model's work area"))
    if plan.model.weight is not None:
        found.append(Access(plan.model.weight.base, plan.model.weight.end, False, "a model's weight area"))
    return found


def execute_now(model_id: int, input_set: int, output_set: int) -> None:
    """Execute at once, on a stream that nobody else sees; pending work of the caller's streams is not waited for."""
    what = "acl.mdl.execute"
    plan = make_plan(model_id, input_set, output_set, what, asynchronous=False)
    for access in _accesses(plan, []):
        name = f"{what} uses {access.what}"
        state.process.ledger.check_host(access.low, access.high - access.low, access.write, name)
    if not plan.model.running.acquire(blocking=False):
        raise violate(f"model {model_id} is executed by two threads at once")
    try:
        state.process.device(plan.model.device).engines.compute.run(_work(plan), time.perf_counter(), hold_gil=True)
    finally:
        plan.model.running.release()


def execute_later(model_id: int, input_set: int, output_set: int, stream: Stream) -> None:
    """Queue an execution."""
    process = state.process
    plan = make_plan(model_id, input_set, output_set, "acl.mdl.execute_async", asynchronous=True)
    engine = process.device(stream.device).engines.compute
    sets = [process.handles.get(handle, Dataset, "acl.mdl.execute_async") for handle in (input_set, output_set)]
    handles = [input_set, output_set, *[buffer.handle for dataset in sets for buffer in dataset.buffers]]

    device = process.device(stream.device)

    def work(begin: float) -> float:
        with device.executing:
            if knobs.flag("HANG"):
                threading.Event().wait()
            return engine.run(_work(plan), begin)

    stream.submit(Task("execute", work, _accesses(plan, handles)))


def _work(plan: Plan) -> Callable[[], None]:
    def work() -> None:
        code = state.process.injector.due("task.execute", plan.model.device)
        if code:
            raise AclError(code, "EZ9999: Inner Error!\n        The aicore execution is abnormal")
        plan.run()

    return work
