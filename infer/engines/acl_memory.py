"""Page-locked host memory as NumPy arrays: what a device copies from and to without the processor."""

from __future__ import annotations

import ctypes
import time
import weakref
from collections import deque
from typing import Any, Deque, Dict, List, Optional, Tuple

import numpy as np

from clip2om.infer.engines.acl_library import AclError, Library, Resources
from clip2om.pipeline.tensor import TensorSpec

# Asynchronous copies want such addresses; malloc_host gives them, except where the program runs on the chip itself.
_ALIGNMENT = 64
# Attributes of get_mem_info; a chip without such memory answers 0 of 0.
_DDR, _HBM = 0, 1
_EVERY_S = 0.5


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


class MemoryLog:
    """What a device holds in memory while batches run, all processes on it together.

    A run that lasts long must not grow: the slope says whether it does.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._points: List[Tuple[int, int, int]] = []
        self._batches = 0
        self._due = 0.0
        self._mute = False

    def note(self) -> None:
        """Count a batch, and now and then look at the memory."""
        self._batches += 1
        if time.monotonic() >= self._due:
            self._look()
            self._due = time.monotonic() + _EVERY_S

    def seen(self) -> Optional[Dict[str, Any]]:
        """Return bytes in use and in all, and by how many bytes a batch made the former grow (least squares)."""
        if self._batches > (self._points[-1][0] if self._points else 0):
            self._look()
        if not self._points:
            return None
        batches, used, total = (np.array(column, float) for column in zip(*self._points))
        grown = float(np.polyfit(batches, used, 1)[0]) if len(batches) > 1 else 0.0
        return {
            "used_bytes": int(used[-1]),
            "most_bytes": int(used.max()),
            "total_bytes": int(total[-1]),
            "slope_bytes_per_batch": round(grown, 3),
            "samples": len(used),
        }

    def _look(self) -> None:
        """Ask for high-bandwidth memory, and where the chip has none, for its other memory; it is no error if mute."""
        for kind in (_HBM, _DDR) if not self._mute else ():
            try:
                free, total = self._library.take("rt.get_mem_info", kind)
            except (AclError, AttributeError):
                self._mute = True
                return
            if total:
                self._points.append((self._batches, total - free, total))
                return


def views(buffers: List[np.ndarray], specs: List[TensorSpec]) -> List[np.ndarray]:
    """Return the buffers as arrays of ``specs``, without a copy."""
    return [buffer[: spec.nbytes].view(spec.dtype).reshape(spec.shape) for buffer, spec in zip(buffers, specs)]
