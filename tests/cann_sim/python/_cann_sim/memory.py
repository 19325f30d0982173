"""Device memory (invented addresses, never reused) and page-locked host memory (real, between guard pages)."""

from __future__ import annotations

import bisect
import ctypes
import mmap
import weakref
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

import numpy as np

from _cann_sim import errors, knobs, soc
from _cann_sim.errors import AclError
from _cann_sim.violation import record, violate

FRESH = 0xCD
FREED = 0xDD
POISON = 0xFF  # a NaN in every float format
_GUARD = 0xFB
_PAGE = 4096
# Far from anything that Linux hands out, so that a device pointer used on the host faults as it really does.
_DEVICE_BASE = 0x1240_8000_0000
_DEVICE_SPAN = 0x20_0000_0000
_WHOLE_FILL = 64 << 20


@dataclass(eq=False)
class Block:
    """One allocation; ``data`` are its bytes, ``context`` the handle of the context it was made under."""

    base: int
    size: int
    kind: str
    device: int
    context: int
    data: np.ndarray = field(repr=False)
    freed: bool = False
    # Models that were loaded into this block and must be unloaded before it is freed.
    tenants: List[int] = field(default_factory=list)
    mapping: Any = field(default=None, repr=False)

    @property
    def end(self) -> int:
        """First address after the block."""
        return self.base + self.size

    def __str__(self) -> str:
        return f"{self.kind} memory {self.base:#x} of {self.size} bytes"


@dataclass(frozen=True)
class Region:
    """``count`` bytes at ``ptr``; ``block`` is None for host memory that ACL does not own (pageable)."""

    ptr: int
    count: int
    block: Optional[Block]

    @property
    def kind(self) -> str:
        """``device``, ``pinned`` or ``pageable``."""
        return "pageable" if self.block is None else self.block.kind

    @property
    def on_device(self) -> bool:
        """Whether the bytes are on the device."""
        return self.kind == "device"

    def view(self) -> np.ndarray:
        """Return the bytes as a uint8 array without a copy."""
        if self.block is None:
            return host_view(self.ptr, self.count)
        start = self.ptr - self.block.base
        return self.block.data[start : start + self.count]


def host_view(ptr: int, count: int) -> np.ndarray:
    """Return ``count`` bytes of host memory at ``ptr`` as a uint8 array."""
    return np.frombuffer((ctypes.c_ubyte * count).from_address(ptr), np.uint8)


class Memory:
    """Everything that malloc and malloc_host gave out, and what became of it."""

    def __init__(self) -> None:
        self._bases: List[int] = []
        self._blocks: List[Block] = []
        self._next: Dict[int, int] = {}
        self._used: Dict[int, int] = {}
        self._borrowed: Dict[int, Any] = {}
        self.budget = int(knobs.number("DEVICE_MEMORY", soc.host_soc().memory_mb << 20))
        # ACL_DEVICE [D]: the program runs on the chip, and every pointer is a host pointer too.
        self.unified = knobs.text("RUN_MODE", "1") == "0"

    def used(self, device: int) -> int:
        """Return the bytes in use on ``device``."""
        return self._used.get(device, 0)

    def charge(self, device: int, size: int, code: int) -> int:
        """Take ``size`` bytes of the device's budget (rounded as the runtime does [D]); return what was taken."""
        taken = -(-size // 32) * 32 + 32
        if self.used(device) + taken > self.budget:
            text = f"{size} bytes asked for, {self.budget - self.used(device)} of {self.budget} free on device {device}"
            raise AclError(code, f"EL0004: Failed to allocate memory. {text}")
        self._used[device] = self.used(device) + taken
        return taken

    def refund(self, device: int, taken: int) -> None:
        """Give back what :meth:`charge` took."""
        self._used[device] -= taken

    def malloc(self, size: int, device: int, context: int) -> int:
        """Allocate device memory and return its address."""
        self.charge(device, size, errors.OUT_OF_MEMORY)
        if self.unified:
            return self._map(size, "device", device, context)
        base = self._next.get(device, _DEVICE_BASE + device * _DEVICE_SPAN)
        # The unmapped rest of the page and one more page: an overrun hits nothing.
        self._next[device] = base + -(-size // _PAGE) * _PAGE + _PAGE
        data = np.empty(size, np.uint8)
        data[:_WHOLE_FILL] = FRESH
        self._add(Block(base, size, "device", device, context, data))
        return base

    def malloc_host(self, size: int, device: int, context: int) -> int:
        """Allocate page-locked host memory and return its address."""
        return self._map(size, "pinned", device, context)

    def _map(self, size: int, kind: str, device: int, context: int) -> int:
        whole = -(-size // _PAGE) * _PAGE + 2 * _PAGE
        mapping = mmap.mmap(-1, whole)
        everything = np.frombuffer(mapping, np.uint8)
        everything[:_PAGE] = _GUARD
        everything[_PAGE + size :] = _GUARD
        data = everything[_PAGE : _PAGE + size]
        data[:_WHOLE_FILL] = FRESH
        self._add(Block(data.ctypes.data, size, kind, device, context, data, mapping=everything))
        return data.ctypes.data

    def _add(self, block: Block) -> None:
        place = bisect.bisect(self._bases, block.base)
        self._bases.insert(place, block.base)
        self._blocks.insert(place, block)

    def free(self, ptr: int, kind: str, what: str) -> Block:
        """Free the block that begins at ``ptr``; its address stays known, so that later uses are recognised.

        Raises:
            AclError: null pointer (100000).
            ContractViolation: not such a block, or freed before; codes of real software are unverified.
        """
        block = self.owned(ptr, kind, what)
        if block.tenants:
            raise violate(f"{what}: {block} is freed while model {block.tenants[0]}, loaded into it, is not unloaded")
        self._check_guards(block, what)
        block.freed = True
        if block.kind == "device":
            self._used[block.device] -= -(-block.size // 32) * 32 + 32
        if block.mapping is not None:
            # Views of it may exist: the pages stay mapped, with a content that nobody takes for data.
            block.data[:_WHOLE_FILL] = FREED
        else:
            block.data = np.empty(0, np.uint8)
        return block

    def owned(self, ptr: int, kind: str, what: str) -> Block:
        """Return the live block of ``kind`` that begins at ``ptr``."""
        if ptr == 0:
            raise AclError(errors.INVALID_PARAM, f"EH0002: {what}: argument ptr must not be null.")
        block = self.find(ptr)
        if block is None or block.base != ptr:
            raise violate(f"{what}: {ptr:#x} was not given out by an allocating function")
        if block.freed:
            raise violate(f"{what}: {block} was freed before (double free)")
        if block.kind != kind:
            raise violate(f"{what}: {block} is not {kind} memory")
        return block

    def find(self, ptr: int) -> Optional[Block]:
        """Return the block, live or freed, that holds ``ptr``."""
        place = bisect.bisect(self._bases, ptr) - 1
        if place < 0:
            return None
        block = self._blocks[place]
        return block if ptr < block.end else None

    def resolve(self, ptr: int, count: int, what: str) -> Region:
        """Return the bytes at ``ptr``, checked against what is known about the address.

        Raises:
            ContractViolation: freed memory, an address of the device range that is not allocated, or a range that
                goes beyond its allocation.
        """
        block = self.find(ptr)
        if block is None:
            if _DEVICE_BASE <= ptr < _DEVICE_BASE + 256 * _DEVICE_SPAN:
                raise violate(f"{what}: device address {ptr:#x} is not allocated")
            lender = self._borrowed.get(ptr)
            if lender is not None and lender() is None:
                raise violate(f"{what}: {ptr:#x} pointed into an array that no longer exists")
            return Region(ptr, count, None)
        if block.freed:
            raise violate(f"{what}: {block} was freed (use after free)")
        if ptr + count > block.end:
            raise violate(f"{what}: {count} bytes at offset {ptr - block.base} go beyond {block}")
        return Region(ptr, count, block)

    def borrow(self, array: np.ndarray) -> int:
        """Return the address of a NumPy array's data, and notice when the array is gone."""
        pointer = int(array.ctypes.data)
        owner = array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        if self.find(pointer) is None and owner.base is None:
            self._borrowed[pointer] = weakref.ref(owner)
        else:
            self._borrowed.pop(pointer, None)
        return pointer

    def live(self) -> List[Block]:
        """Return the blocks that were not freed."""
        return [block for block in self._blocks if not block.freed]

    def check_live_guards(self) -> None:
        """Record the blocks that the host wrote beyond."""
        for block in self.live():
            self._check_guards(block, "finalize")

    def _check_guards(self, block: Block, what: str) -> None:
        if block.mapping is None:
            return
        before, after = block.mapping[:_PAGE], block.mapping[_PAGE + block.size :]
        if (before != _GUARD).any() or (after != _GUARD).any():
            record(f"{what}: the host wrote outside {block}")
