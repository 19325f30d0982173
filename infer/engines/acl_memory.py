"""Page-locked host memory as NumPy arrays: what a device copies from and to without the processor."""

from __future__ import annotations

import ctypes
import weakref
from collections import deque
from typing import Deque, Dict, List, Optional

import numpy as np

from clip2om.infer.engines.acl_library import Resources
from clip2om.pipeline.tensor import TensorSpec

# Asynchronous copies want such addresses; malloc_host gives them, except where the program runs on the chip itself.
_ALIGNMENT = 64


def pinned(resources: Resources, size: int) -> np.ndarray:
    """Return ``size`` bytes of page-locked memory, aligned to 64 bytes; valid until ``resources`` are released."""
    start = resources.take("page-locked memory", "rt.malloc_host", size + _ALIGNMENT)
    aligned = start + -start % _ALIGNMENT
    return np.ctypeslib.as_array((ctypes.c_ubyte * size).from_address(aligned))


def address(array: np.ndarray) -> int:
    """Return where the data of an array are."""
    return int(array.__array_interface__["data"][0])


class PinnedPool:
    """Page-locked buffers of one size that come back by themselves when their array is dropped."""

    def __init__(self, resources: Resources, size: int, count: int) -> None:
        self._size = size
        self._free: Deque[np.ndarray] = deque(pinned(resources, size) for _ in range(count))
        self._lent: Dict[int, weakref.finalize] = {}

    def lend(self, spec: TensorSpec) -> Optional[np.ndarray]:
        """Return an array of ``spec``, None where all buffers are lent out or too small; any thread may ask."""
        if spec.nbytes > self._size:
            return None
        try:
            buffer = self._free.popleft()
        except IndexError:
            return None
        array = buffer[: spec.nbytes].view(spec.dtype).reshape(spec.shape)
        self._lent[address(array)] = weakref.finalize(array, self._free.append, buffer)
        return array

    def holds(self, array: np.ndarray) -> bool:
        """True for an array that was lent and not dropped."""
        lent = self._lent.get(address(array))
        return lent is not None and lent.alive

    def forget(self) -> None:
        """Let go of everything: the memory is about to be freed."""
        for lent in self._lent.values():
            lent.detach()
        self._lent.clear()
        self._free.clear()


def views(buffers: List[np.ndarray], specs: List[TensorSpec]) -> List[np.ndarray]:
    """Return the buffers as arrays of ``specs``, without a copy."""
    return [buffer[: spec.nbytes].view(spec.dtype).reshape(spec.shape) for buffer, spec in zip(buffers, specs)]
