"""The three ways to average features over time and space: equal numbers, different nodes in the graph."""

from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor, nn


class GlobalPool(nn.Module):
    """GlobalAveragePool and Flatten in the graph, whatever the size of the features."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, T, H, W) to (N, C)."""
        return nn.functional.adaptive_avg_pool3d(x, 1).flatten(1)


class WindowPool(nn.Module):
    """AveragePool and Flatten, with a constant window as large as the features.

    CANN releases before 8 take GlobalAveragePool on 4-D tensors only. The published conversion fixes the window at
    (1, 4, 4), which is silently wrong for other clip sizes: here the window is computed for the card's input.
    """

    def __init__(self, window: Tuple[int, int, int]) -> None:
        super().__init__()
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, *window) to (N, C).

        Raises:
            ValueError: the features are not as large as the window.
        """
        # Under the tracer extents are tensors; the exporter runs the network eagerly as well.
        if not torch.jit.is_tracing() and tuple(x.shape[2:]) != self.window:
            raise ValueError(f"features of size {tuple(x.shape[2:])} for a pooling window of {self.window}")
        # There is no padding to count, and ATC does not take the attribute count_include_pad.
        return nn.functional.avg_pool3d(x, self.window, count_include_pad=False).flatten(1)


class MeanPool(nn.Module):
    """One ReduceMean in the graph."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, T, H, W) to (N, C)."""
        return x.mean(dim=(2, 3, 4))


def make_pool(kind: str, size: Tuple[int, int, int]) -> nn.Module:
    """Return the pooling head ``global``, ``average`` or ``mean`` for features of ``size`` (T, H, W)."""
    if kind == "average":
        return WindowPool(size)
    return MeanPool() if kind == "mean" else GlobalPool()
