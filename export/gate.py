"""The parity gate: is a graph close enough to the framework it comes from?"""

from __future__ import annotations

from clip2om.pipeline.errors import ShortfallError
from clip2om.pipeline.records import Parity

MIN_COSINE = 0.9999


def within(parity: Parity, max_diff: float) -> bool:
    """Return whether a graph is close enough: difference relative to max(1, largest logit), and cosine."""
    # Written so that a NaN in either figure is not close.
    return parity.max_abs_diff <= max_diff * max(1.0, parity.max_abs) and parity.cosine >= MIN_COSINE


def check(parity: Parity, max_diff: float, where: object) -> None:
    """Refuse a graph that drifts.

    Raises:
        ShortfallError: with the figures found and the figures asked for.
    """
    if not within(parity, max_diff):
        raise ShortfallError(
            f"the graph differs from {parity.reference} by {parity.max_abs_diff:.3g} (largest logit "
            f"{parity.max_abs:.3g}, cosine {parity.cosine:.6f} over {parity.clips} clips), allowed are {max_diff:g} "
            f"x max(1, largest logit) and cosine {MIN_COSINE}",
            where,
            "no graph was written; try another --opset or export.pooling, or allow more with --max-diff",
        )
