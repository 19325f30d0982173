"""What is exported around a network: pixels as its input, probabilities as its output."""

from __future__ import annotations

from typing import Optional, Sequence

import mindspore
import numpy as np
from mindspore import Tensor, nn, ops

from clip2om.export.request import ExportRequest
from clip2om.pipeline.card import Transform


class Deployed(nn.Cell):
    """A network between the steps that the graph takes over.

    Args:
        network: Maps normalised clips to logits.
        softmax: End with a softmax over the classes.
        pixels: Take uint8 clips and normalise them with this transform: (x / scale - mean) / std is computed as
            (x - scale * mean) * (1 / (scale * std)) with one constant per channel: Cast, Sub and Mul in the graph.
    """

    def __init__(self, network: nn.Cell, softmax: bool, pixels: Optional[Transform]) -> None:
        # No prefix, so that the parameters keep the names that they have in a checkpoint.
        super().__init__(auto_prefix=False)
        self.network = network
        self.softmax = softmax
        self.pixels = pixels is not None
        if pixels is not None:
            self.offset = _per_channel([pixels.scale * mean for mean in pixels.mean])
            self.factor = _per_channel([1 / (pixels.scale * std) for std in pixels.std])

    def construct(self, x: Tensor) -> Tensor:
        """Map clips (N, 3, T, H, W), float32 or uint8, to float32 (N, classes)."""
        if self.pixels:
            x = (ops.cast(x, mindspore.float32) - self.offset) * self.factor
        x = self.network(x)
        if self.softmax:
            x = ops.softmax(x, 1)
        return x


def deployed(network: nn.Cell, request: ExportRequest) -> nn.Cell:
    """Return the network as ``request`` wants it in the graph, in evaluation mode."""
    pixels = request.card.transform if request.input_dtype == "uint8" else None
    return Deployed(network, request.card.export.softmax, pixels).set_train(False)


def _per_channel(values: Sequence[float]) -> Tensor:
    return Tensor(np.array(values, np.float32).reshape(1, -1, 1, 1, 1))
