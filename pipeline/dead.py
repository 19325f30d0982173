"""A network that gives the same whatever goes in: any two executions of it agree, and say nothing about either."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Of the largest output; random weights part different clips by far more.
_LEAST = 1e-6
WORDS = (
    "all outputs are the same whatever goes in: agreement says nothing, look whether the weights are the trained ones"
)


def is_dead(outputs: "np.ndarray") -> bool:
    """Tell whether the rows of outputs of different clips, float (rows, ...), are all alike."""
    import numpy as np

    rows = np.asarray(outputs, np.float64).reshape(len(outputs), -1)
    return len(rows) > 1 and bool(np.ptp(rows, axis=0).max() <= _LEAST * np.abs(rows).max())
