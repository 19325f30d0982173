"""Pixels as the network's input: scale, mean and std become part of the graph."""

from __future__ import annotations

from typing import Optional

import numpy as np
import torch
from torch import Tensor, nn

from clip2om.export import parity
from clip2om.pipeline.card import Transform


class ByteInput(nn.Module):
    """A network that takes uint8 clips (..., C, T, H, W) and normalises them itself.

    (x / scale - mean) / std is computed as (x - scale * mean) * (1 / (scale * std)) with one constant per channel, or
    per value of a clip where there is a mean volume: Cast, Sub and Mul in the graph. Batches of bytes are a quarter of
    the size on disk, bus and device.

    Args:
        network: Takes the normalised values.
        layout: Axes of the input.
        transform: Scale, mean and std.
        volume: The card's mean volume, float32 (T, H, W, C), in place of the mean.
    """

    offset: Tensor
    factor: Tensor

    def __init__(
        self, network: nn.Module, layout: str, transform: Transform, volume: Optional[np.ndarray] = None
    ) -> None:
        super().__init__()
        self.network = network
        mean, std = (values.astype(np.float64) for values in parity.statistics(layout, transform, volume))
        self.register_buffer("offset", torch.from_numpy(transform.scale * mean).float())
        self.register_buffer("factor", torch.from_numpy(1 / (transform.scale * std)).float())

    def forward(self, x: Tensor) -> Tensor:
        """Map pixels, uint8 (..., C, T, H, W), to what the network gives."""
        return self.network((x.float() - self.offset) * self.factor)
