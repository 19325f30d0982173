"""Datasets, gears, execution."""

from __future__ import annotations

from typing import Any, Dict, List

import numpy as np
from _cann_sim import errors, execution, models, state
from _cann_sim.call import api
from _cann_sim.errors import AclError
from _cann_sim.execution import DataBuffer, Dataset
from _cann_sim.om import MBATCH
from _cann_sim.violation import violate


@api("acl.mdl.create_dataset", bare=0, end="!")
def create_dataset() -> int:
    """Make an empty dataset."""
    return state.process.handles.add(Dataset())


# On failure the dataset comes back as well [S: a tuple, not the code alone].
@api("acl.mdl.add_dataset_buffer", "kk", fails=(0,), end="!")
def add_dataset_buffer(handle: int, buffer_handle: int) -> int:
    """Append a data buffer; returns (dataset, code)."""
    dataset = state.process.handles.get(handle, Dataset, "acl.mdl.add_dataset_buffer")
    buffer = state.process.handles.get(buffer_handle, DataBuffer, "acl.mdl.add_dataset_buffer")
    state.process.ledger.check_host(handle, 1, True, "acl.mdl.add_dataset_buffer")
    dataset.buffers.append(buffer)
    buffer.users.append(handle)
    return handle


@api("acl.mdl.get_dataset_num_buffers", "k", bare=0, end="!")
def get_dataset_num_buffers(handle: int) -> int:
    """Return the number of data buffers."""
    return len(state.process.handles.get(handle, Dataset, "acl.mdl.get_dataset_num_buffers").buffers)


@api("acl.mdl.get_dataset_buffer", "kk", bare=0, end="!")
def get_dataset_buffer(handle: int, index: int) -> int:
    """Return a data buffer, 0 for a bad index."""
    buffers = state.process.handles.get(handle, Dataset, "acl.mdl.get_dataset_buffer").buffers
    return buffers[index].handle if index < len(buffers) else 0


@api("acl.mdl.destroy_dataset", "k", end="!")
def destroy_dataset(handle: int) -> None:
    """Free the dataset; its data buffers and their memory stay."""
    dataset = state.process.handles.get(handle, Dataset, "acl.mdl.destroy_dataset")
    state.process.ledger.check_host(handle, 1, True, "acl.mdl.destroy_dataset")
    for buffer in dataset.buffers:
        buffer.users.remove(handle)
    state.process.handles.remove(handle)


@api("acl.mdl.set_dynamic_batch_size", "IkkK", end="!")
def set_dynamic_batch_size(number: int, handle: int, index: int, batch: int) -> None:
    """Choose the batch of the next executions of a dataset: written to the hidden input at once."""
    if batch == 0:
        raise AclError(errors.INVALID_PARAM, "EH0001: Value 0 for batchSize is invalid.")
    _set_gear(number, handle, index, "batch", [batch], "acl.mdl.set_dynamic_batch_size")


@api("acl.mdl.set_dynamic_hw_size", "Ikkkk", end="!")
def set_dynamic_hw_size(number: int, handle: int, index: int, height: int, width: int) -> None:
    """Choose the image size of the next executions of a dataset."""
    if height == 0 or width == 0:
        raise AclError(errors.INVALID_PARAM, "EH0001: Value 0 for height or width is invalid.")
    _set_gear(number, handle, index, "hw", [height, width], "acl.mdl.set_dynamic_hw_size")


@api("acl.mdl.set_input_dynamic_dims", "IkkO", end="!")
def set_input_dynamic_dims(number: int, handle: int, index: int, dims: Dict[str, Any]) -> None:
    """Choose the dims of the next executions; ``dims`` are those of all inputs, one after the other."""
    gears = models.find(number).om.gears
    asked: List[int] = list(dims["dims"])[: dims["dimCount"]]
    flat = [] if gears is None else [[extent for entry in gear for extent in entry] for gear in gears.inputs]
    if gears is None or asked not in flat:
        raise AclError(errors.DYNAMIC_BATCH, f"E10001: dims {asked} are not among the gears {flat}")
    values = gears.values[flat.index(asked)]
    _set_gear(number, handle, index, "dims", values, "acl.mdl.set_input_dynamic_dims")


def _set_gear(number: int, handle: int, index: int, kind: str, values: List[int], what: str) -> None:
    process = state.process
    dataset = process.handles.get(handle, Dataset, what)
    model = models.find(number)
    models.check_context(model, what)
    if index >= len(dataset.buffers):
        raise AclError(errors.INVALID_PARAM, f"EH0001: {what}: index {index} is invalid")
    buffer = dataset.buffers[index]
    if buffer.ptr == 0:
        raise AclError(errors.INVALID_PARAM, "EH0002: the data of the gear input must not be null.")
    gears = model.om.gears
    if gears is None or gears.kind != kind or values not in gears.values:
        known = [] if gears is None else gears.values
        raise AclError(errors.DYNAMIC_BATCH, f"E10001: {what}: {values} is not among the gears {known}")
    if model.inputs[index].name != MBATCH:
        raise AclError(errors.INVALID_PARAM, f"EH0001: {what}: input {index} is not {MBATCH}")
    # [S] 4 or 8 bytes are written, as the hidden input has them.
    dtype = np.dtype(model.inputs[index].dtype)
    size = dtype.itemsize * len(values)
    if buffer.size < size:
        raise AclError(errors.DYNAMIC_LENGTH, f"EH0001: {what}: the gear buffer has {buffer.size} bytes")
    process.ledger.check_host(handle, 1, True, what)
    process.ledger.check_host(buffer.ptr, size, True, f"{what} writes the gear buffer")
    region = process.memory.resolve(buffer.ptr, size, what)
    if not region.on_device and not process.memory.unified:
        raise violate(f"{what}: the gear buffer is {region.kind} host memory")
    region.view()[:] = np.array(values, dtype).view(np.uint8)
    dataset.gear = model.gear = gears.values.index(values)


@api("acl.mdl.execute", "Ikk", end="!")
def execute(number: int, input_set: int, output_set: int) -> None:
    """Execute and return when it is done."""
    execution.execute_now(number, input_set, output_set)


@api("acl.mdl.execute_async", "Ikkk", end="!")
def execute_async(number: int, input_set: int, output_set: int, stream: int) -> None:
    """Queue an execution."""
    execution.execute_later(number, input_set, output_set, state.process.stream(stream, "acl.mdl.execute_async"))
