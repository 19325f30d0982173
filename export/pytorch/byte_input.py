"""Pixels as the network's input: scale, mean and std become part of the graph."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.card import Transform


class ByteInput(nn.Module):
    """A network that takes uint8 clips (..., C, T, H, W) and normalises them itself.

    (x / scale - mean) / std is computed as (x - scale * mean) * (1 / (scale * std)) with one constant per channel:
    Cast, Sub and Mul in the graph. Batches of bytes are a quarter of the size on disk, bus and device.
    """

    offset: Tensor
    factor: Tensor

    def __init__(self, network: nn.Module, transform: Transform) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("offset", _per_channel(transform.scale * np.array(transform.mean)))
        self.register_buffer("factor", _per_channel(1 / (transform.scale * np.array(transform.std))))

    def forward(self, x: Tensor) -> Tensor:
        """Map pixels, uint8 (..., C, T, H, W), to what the network gives."""
        return self.network((x.float() - self.offset) * self.factor)


def _per_channel(values: np.ndarray) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(1, -1, 1, 1, 1)
