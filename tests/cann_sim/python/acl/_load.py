"""Loading and unloading models."""

from __future__ import annotations

from typing import Tuple

from _cann_sim import models, state
from _cann_sim.call import api


@api("acl.mdl.load_from_file", "s", fails=(0,), end="!")
def load_from_file(path: str) -> int:
    """Load an .om; the system takes its memory."""
    state.process.context  # noqa: B018 - for its check
    return models.load(models.read_file(path))


@api("acl.mdl.load_from_mem", "kk", fails=(0,), end="!")
def load_from_mem(ptr: int, size: int) -> int:
    """Load an .om that was read into host memory."""
    region = state.process.memory.resolve(ptr, size, "acl.mdl.load_from_mem")
    if region.on_device and not state.process.memory.unified:
        # In host mode the model has to be in host memory [D].
        raise models.violate("acl.mdl.load_from_mem: the model is in device memory")
    return models.load(models.read_bytes(region.view().tobytes()))


@api("acl.mdl.query_size", "s", fails=(0, 0), end="!")
def query_size(path: str) -> Tuple[int, int]:
    """Return the bytes of work and weight memory."""
    om = models.read_file(path)
    return om.work_size, om.weight_size


@api("acl.mdl.load_from_file_with_mem", "skkkk", fails=(0,), end="!")
def load_from_file_with_mem(path: str, work: int, work_size: int, weight: int, weight_size: int) -> int:
    """Load an .om into the caller's memory, which must outlive it."""
    state.process.context  # noqa: B018
    return models.load(models.read_file(path), (work, work_size), (weight, weight_size))


@api("acl.mdl.unload", "I", end="!")
def unload(number: int) -> None:
    """Unload a model."""
    models.unload(number)
