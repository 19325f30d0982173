"""The ResNet3D of MindSpore's model zoo, with the names, order and numbers of its checkpoints.

The structure of the 3D-ResNets family (Hara et al., "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and
ImageNet?", CVPR 2018) with shortcut B, except that the stem's max pooling pads SAME: on even sizes at the end only.
"""

from __future__ import annotations

from typing import Tuple, Type, Union

from mindspore import Tensor, nn, ops

from clip2om.export.mindspore.layers import conv, shortcut, widths_of
from clip2om.export.mindspore.recognition import WIDTHS


class BasicBlock(nn.Cell):
    """Two 3x3x3 convolutions and a shortcut; ``stride`` is on the first."""

    expansion = 1

    def __init__(self, in_width: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv(in_width, width, 3, stride, (1, 1, 1))
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = conv(width, width, 3, 1, (1, 1, 1))
        self.bn2 = nn.BatchNorm3d(width)
        self.downsample = shortcut(in_width, width, stride)

    def construct(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, width, T', H', W')."""
        out = ops.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return ops.relu(out + self.downsample(x))


class Bottleneck(nn.Cell):
    """1x1x1, 3x3x3 and 1x1x1 convolutions and a shortcut; ``stride`` is on the second."""

    expansion = 4

    def __init__(self, in_width: int, width: int, stride: int) -> None:
        super().__init__()
        out_width = width * self.expansion
        self.conv1 = conv(in_width, width, 1)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = conv(width, width, 3, stride, (1, 1, 1))
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = conv(width, out_width, 1)
        self.bn3 = nn.BatchNorm3d(out_width)
        self.downsample = shortcut(in_width, out_width, stride)

    def construct(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, 4 * width, T', H', W')."""
        out = ops.relu(self.bn1(self.conv1(x)))
        out = ops.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return ops.relu(out + self.downsample(x))


class ResNet3d(nn.Cell):
    """3D ResNet: stem, four stages of residual blocks, mean over time and space, linear classifier.

    Args:
        bottleneck: Whether the blocks are of type :class:`Bottleneck`.
        blocks: Blocks per stage.
        classes: Number of logits.
        widen_factor: Multiplies the widths 64, 128, 256, 512, each cut to an integer.
        conv1_t_size: Extent of the stem's kernel in time.
        conv1_t_stride: Stride of the stem in time.
        no_max_pool: Leave out the stem's max pooling.
    """

    def __init__(
        self,
        bottleneck: bool,
        blocks: Tuple[int, ...],
        classes: int,
        widen_factor: float = 1.0,
        conv1_t_size: int = 7,
        conv1_t_stride: int = 1,
        no_max_pool: bool = False,
    ) -> None:
        super().__init__()
        block: Union[Type[BasicBlock], Type[Bottleneck]] = Bottleneck if bottleneck else BasicBlock
        widths = widths_of(WIDTHS, widen_factor)
        out = [width * block.expansion for width in widths]
        self.conv1 = conv(3, widths[0], (conv1_t_size, 7, 7), (conv1_t_stride, 2, 2), (conv1_t_size // 2, 3, 3))
        self.bn1 = nn.BatchNorm3d(widths[0])
        self.maxpool = nn.Identity() if no_max_pool else nn.MaxPool3d(kernel_size=3, stride=2, pad_mode="same")
        self.layer1 = _layer(block, widths[0], widths[0], blocks[0], 1)
        self.layer2 = _layer(block, out[0], widths[1], blocks[1], 2)
        self.layer3 = _layer(block, out[1], widths[2], blocks[2], 2)
        self.layer4 = _layer(block, out[2], widths[3], blocks[3], 2)
        self.fc = nn.Dense(out[3], classes, weight_init="zeros")

    def construct(self, x: Tensor) -> Tensor:
        """Map normalised clips, float32 (N, 3, T, H, W), to logits, float32 (N, classes)."""
        x = self.maxpool(ops.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(ops.mean(x, (2, 3, 4)))


def _layer(
    block: Union[Type[BasicBlock], Type[Bottleneck]], in_width: int, width: int, count: int, stride: int
) -> nn.SequentialCell:
    blocks = [block(in_width, width, stride)]
    blocks += [block(width * block.expansion, width, 1) for _ in range(count - 1)]
    return nn.SequentialCell(blocks)
