"""What compiling does to numbers: rounded weights, and the sizes of the areas an .om asks for."""

from __future__ import annotations

from typing import List, Optional

import numpy as np

from _cann_sim import knobs
from _cann_sim.om import Om, Tensor

# [D] the modes that leave float32 weights as they are.
EXACT = ("force_fp32", "must_keep_origin_dtype", "origin")
_HALF_MAX = 65504.0
_WORK_ALIGNMENT = 512


def round_values(values: np.ndarray) -> np.ndarray:
    """Return float32 weights with fewer bits, as the default precision keeps them; the graph computes in float32.

    CANN_SIM_ATC_BITS is the number of significant bits. float16 has 11: with real networks that moves the scores of
    undecided clips by more than 1e-4, more than tests of the same path on two targets can allow. The default of 16
    changes the bits of every result and leaves what the results say [I].
    """
    bits = int(knobs.text("ATC_BITS", "16"))
    fraction, exponent = np.frexp(np.clip(values, -_HALF_MAX, _HALF_MAX))
    return np.ldexp(np.round(np.ldexp(fraction, bits)), exponent - bits).astype(np.float32)


def weight_size(count: int, precision: str) -> int:
    """Return the bytes of ``count`` weights."""
    return _align(count * (4 if precision in EXACT else 2))


def work_size(om: Om) -> int:
    """Return the bytes of the work area."""

    def nbytes(tensors: List[Tensor], dims: Optional[List[List[int]]]) -> int:
        return sum(t.nbytes(d) for t, d in zip(tensors, dims or [t.dims for t in tensors]))

    gears = om.gears
    largest = None if gears is None else gears.largest
    inside = nbytes(om.inputs, gears.inputs[largest] if gears and largest is not None else None)
    outside = nbytes(om.outputs, gears.outputs[largest] if gears and largest is not None else None)
    # Of the size of its tensors: real figures depend on the compiler [I].
    return _align(inside + outside)


def _align(size: int) -> int:
    return max(_WORK_ALIGNMENT, -(-size // _WORK_ALIGNMENT) * _WORK_ALIGNMENT)
