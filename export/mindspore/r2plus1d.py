"""The R(2+1)D of MindSpore's model zoo, with the names, order and numbers of its checkpoints.

Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018, as GluonCV wrote it
(``r2plus1d_v1``): no max pooling, and one middle width for both pairs of a block.
"""

from __future__ import annotations

from typing import Tuple

from mindspore import Tensor, nn, ops

from clip2om.export.mindspore.layers import conv, shortcut, widths_of
from clip2om.export.mindspore.recognition import WIDTHS

_STEM = 45


class Pair(nn.Cell):
    """A 1x3x3 and a 3x1x1 convolution in place of one 3x3x3, with ``middle`` channels between them."""

    def __init__(self, in_width: int, width: int, middle: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv(in_width, middle, (1, 3, 3), (1, stride, stride), (0, 1, 1))
        self.bn1 = nn.BatchNorm3d(middle)
        self.conv2 = conv(middle, width, (3, 1, 1), (stride, 1, 1), (1, 0, 0))

    def construct(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, width, T', H', W')."""
        return self.conv2(ops.relu(self.bn1(self.conv1(x))))


class Block(nn.Cell):
    """Two pairs and a shortcut; ``stride`` is on the first pair. The shortcut comes first in a checkpoint."""

    def __init__(self, in_width: int, width: int, stride: int) -> None:
        super().__init__()
        middle = middle_width(in_width, width)
        self.downsample = shortcut(in_width, width, stride)
        self.conv1 = Pair(in_width, width, middle, stride)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = Pair(width, width, middle, 1)
        self.bn2 = nn.BatchNorm3d(width)

    def construct(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, width, T', H', W')."""
        out = ops.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return ops.relu(out + self.downsample(x))


class R2Plus1d(nn.Cell):
    """R(2+1)D: factorised stem, four stages of residual blocks, mean over time and space, linear classifier.

    Args:
        blocks: Blocks per stage.
        classes: Number of logits.
        widen_factor: Multiplies the stem's 45 channels and the widths 64, 128, 256, 512, each cut to an integer.
    """

    def __init__(self, blocks: Tuple[int, ...], classes: int, widen_factor: float = 1.0) -> None:
        super().__init__()
        (stem,), widths = widths_of((_STEM,), widen_factor), widths_of(WIDTHS, widen_factor)
        self.conv1 = conv(3, stem, (1, 7, 7), (1, 2, 2), (0, 3, 3))
        self.bn1 = nn.BatchNorm3d(stem)
        self.conv2 = conv(stem, widths[0], (3, 1, 1), 1, (1, 0, 0))
        self.bn2 = nn.BatchNorm3d(widths[0])
        self.layer1 = _layer(widths[0], widths[0], blocks[0], 1)
        self.layer2 = _layer(widths[0], widths[1], blocks[1], 2)
        self.layer3 = _layer(widths[1], widths[2], blocks[2], 2)
        self.layer4 = _layer(widths[2], widths[3], blocks[3], 2)
        self.fc = nn.Dense(widths[3], classes, weight_init="zeros")

    def construct(self, x: Tensor) -> Tensor:
        """Map normalised clips, float32 (N, 3, T, H, W), to logits, float32 (N, classes)."""
        x = ops.relu(self.bn1(self.conv1(x)))
        x = ops.relu(self.bn2(self.conv2(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(ops.mean(x, (2, 3, 4)))


def middle_width(in_width: int, width: int) -> int:
    """Return the channels between the two convolutions of a pair, which keep the parameters of a 3x3x3 kernel."""
    return in_width * width * 27 // (in_width * 9 + 3 * width)


def _layer(in_width: int, width: int, count: int, stride: int) -> nn.SequentialCell:
    blocks = [Block(in_width, width, stride)]
    blocks += [Block(width, width, 1) for _ in range(count - 1)]
    return nn.SequentialCell(blocks)
