"""C3D as PaddleC3D trains it (Tran et al. 2015, with the padding of the last pooling that mmaction2 gives it).

Shapes: N batch, K clips of one video, C channels, T frames, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

import paddle
from paddle import Tensor, nn
from paddle.nn.functional import max_pool3d, relu, softmax

WIDTHS = {"1a": 64, "2a": 128, "3a": 256, "3b": 256, "4a": 512, "4b": 512, "5a": 512, "5b": 512}
FC_WIDTH = 4096
_DROPOUT = 0.5


@dataclass(frozen=True)
class Head:
    """What follows the scores of the single clips.

    Attributes:
        clips: Clips per item of the batch, K; None where the input has no such axis.
        softmax: Turn each clip's logits into probabilities.
        average: Give the mean over an item's clips.
    """

    clips: Optional[int] = None
    softmax: bool = False
    average: bool = False


class ConvRelu(nn.Layer):
    """A 3x3x3 convolution with bias and ReLU; the published code calls it conv and BN, and has no BN in it."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self._conv = nn.Conv3D(channels, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, T, H, W) to (N, width, T, H, W)."""
        return relu(self._conv(x))


class Backbone(nn.Layer):
    """Eight convolutions, five poolings and two fully connected layers.

    Args:
        shape: One clip, (C, T, H, W): the first fully connected layer fixes the size.
        widen_factor: Scales the width of every layer.

    Raises:
        ValueError: the clip is too small for five poolings.
    """

    def __init__(self, shape: Tuple[int, ...], widen_factor: float = 1.0) -> None:
        super().__init__()
        channels = shape[0]
        for name, full in WIDTHS.items():
            width = int(full * widen_factor)
            setattr(self, f"conv{name}", ConvRelu(channels, width))
            channels = width
        frames, height, width = _pooled(shape[1:])
        hidden = int(FC_WIDTH * widen_factor)
        self.features = channels * frames * height * width
        self.fc6 = nn.Linear(self.features, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(_DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        """Map clips (N, C, T, H, W) to features (N, hidden)."""
        x = max_pool3d(self.conv1a(x), (1, 2, 2), (1, 2, 2))
        x = max_pool3d(self.conv2a(x), 2, 2)
        x = max_pool3d(self.conv3b(self.conv3a(x)), 2, 2)
        x = max_pool3d(self.conv4b(self.conv4a(x)), 2, 2)
        x = max_pool3d(self.conv5b(self.conv5a(x)), 2, 2, padding=(0, 1, 1))
        # A constant target: x.shape[0] would become a chain of Shape, Slice and Concat in the graph.
        x = x.reshape([-1, self.features])
        return relu(self.fc7(self.dropout(relu(self.fc6(x)))))


class Classifier(nn.Layer):
    """Dropout and a fully connected layer."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(_DROPOUT)
        self.fc_cls = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map features to logits, (N, classes)."""
        return self.fc_cls(self.dropout(x))


class C3d(nn.Layer):
    """The recogniser; its state dict has the names of published checkpoints, linear weights (in, out).

    Args:
        shape: One clip, (C, T, H, W).
        classes: Number of classes.
        widen_factor: Scales the width of every layer.
        head: What follows the logits of the single clips.

    Raises:
        ValueError: the clip is too small for five poolings.
    """

    def __init__(
        self, shape: Tuple[int, ...], classes: int, widen_factor: float = 1.0, head: Optional[Head] = None
    ) -> None:
        super().__init__()
        self.backbone = Backbone(shape, widen_factor)
        self.cls_head = Classifier(int(FC_WIDTH * widen_factor), classes)
        self.head = head or Head()
        self._shape = list(shape)
        self._classes = classes

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised clips, float32, to scores.

        (N, C, T, H, W) gives (N, classes); (N, K, C, T, H, W) gives (N, K, classes), or (N, classes) where the head
        averages. The published test averages raw logits, without a softmax.
        """
        head = self.head
        if head.clips is not None:
            x = x.reshape([-1, *self._shape])
        x = self.cls_head(self.backbone(x))
        if head.softmax:
            x = softmax(x, axis=-1)
        if head.clips is not None:
            x = x.reshape([-1, head.clips, self._classes])
        return x.mean(axis=1) if head.average else x


class ByteInput(nn.Layer):
    """A network that takes pixels, uint8, and normalises them itself.

    (x / scale - mean) / std is computed as (x - scale * mean) * (1 / (scale * std)): Cast, Sub and, where a factor is
    not 1, Mul in the graph.

    Args:
        network: Takes the normalised values.
        offset: scale * mean, float32, in a shape that broadcasts against the pixels.
        factor: 1 / (scale * std), likewise.
    """

    def __init__(self, network: nn.Layer, offset: Tensor, factor: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("offset", offset)
        self.register_buffer("factor", factor)
        self._scales = bool((factor != 1).any())

    def forward(self, x: Tensor) -> Tensor:
        """Map pixels in the network's layout to its output."""
        x = x.astype(paddle.float32) - self.offset
        return self.network(x * self.factor if self._scales else x)


def _pooled(extents: Tuple[int, ...]) -> Tuple[int, int, int]:
    """Return (T, H, W) after the five poolings of clips of ``extents``."""
    frames, height, width = (extent // divisor for extent, divisor in zip(extents, (8, 16, 16)))
    # The last one pads rows and columns by one pixel on both sides.
    found = (frames // 2, height // 2 + 1, width // 2 + 1)
    if min(frames // 2, height, width) < 1:
        raise ValueError(f"clips of {'x'.join(map(str, extents))} are too small, C3D takes 16x16x16 or more")
    return found
