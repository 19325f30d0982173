"""Pooling without weights: three heads that average alike in different nodes, and MindSpore's max pooling."""

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


class SameMaxPool(nn.Module):
    """Max pooling 3x3x3 with stride 2 that pads to half the size, and an odd sample at the end, as MindSpore does.

    PyTorch pads one sample at both ends: with an even extent its windows lie one sample earlier. ``ceil_mode`` without
    padding gives the windows of an even extent, one sample of padding those of an odd one.
    """

    def __init__(self, size: Tuple[int, int, int]) -> None:
        super().__init__()
        self.padding = tuple(extent % 2 for extent in size)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, T, H, W), of the size given, to (N, C, ceil(T / 2), ceil(H / 2), ceil(W / 2))."""
        return nn.functional.max_pool3d(x, kernel_size=3, stride=2, padding=self.padding, ceil_mode=True)


def make_pool(kind: str, size: Tuple[int, int, int]) -> nn.Module:
    """Return the pooling head ``global``, ``average`` or ``mean`` for features of ``size`` (T, H, W)."""
    if kind == "average":
        return WindowPool(size)
    return MeanPool() if kind == "mean" else GlobalPool()
