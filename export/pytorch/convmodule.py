"""Blocks under the names of mmaction2: a convolution and its normalisation are one module, ``conv`` and ``bn``.

Read in open-mmlab/mmaction2, 1.2.0 and 0.24.1: the keys of published files are the same in both.
"""

from __future__ import annotations

from typing import Optional, Sequence, Tuple, Union

from torch import Tensor, nn

from clip2om.export.pytorch.pooling import GlobalPool

Extent = Union[int, Tuple[int, ...]]
WIDTHS = (64, 128, 256, 512)
DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
EXPANSION = 4


class ConvBn(nn.Module):
    """A convolution without bias, its normalisation, and an activation where ``active``."""

    def __init__(self, conv: nn.Module, width: int, active: bool = True) -> None:
        super().__init__()
        self.conv = conv
        self.bn: nn.Module = (nn.BatchNorm2d if _is_flat(conv) else nn.BatchNorm3d)(width)
        self.relu: nn.Module = nn.ReLU(inplace=True) if active else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map what the convolution takes to what it gives."""
        return self.relu(self.bn(self.conv(x)))


class Bottleneck3d(nn.Module):
    """Convolutions t x 1 x 1, 1 x 3 x 3 with ``stride`` in space, and 1 x 1 x 1, and a shortcut; none moves in time."""

    def __init__(self, in_width: int, width: int, stride: int, frames: int) -> None:
        super().__init__()
        self.out_width = EXPANSION * width
        self.conv1 = conv3d(in_width, width, (frames, 1, 1))
        self.conv2 = conv3d(width, width, (1, 3, 3), (1, stride, stride))
        self.conv3 = conv3d(width, self.out_width, 1, active=False)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: Optional[nn.Module] = None
        if stride != 1 or in_width != self.out_width:
            self.downsample = conv3d(in_width, self.out_width, 1, (1, stride, stride), active=False)
        self.non_local_block: Optional[nn.Module] = None

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, in_width, T, H, W) to (N, 4 * width, T, H', W')."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.conv3(self.conv2(self.conv1(x))) + shortcut)
        return x if self.non_local_block is None else self.non_local_block(x)


class Trunk3d(nn.Module):
    """Stem, max pooling and four stages of a ResNet in space whose kernels reach over time where they are inflated.

    Args:
        channels: Of the input.
        width: Of the stem; the stages have 1, 2, 4 and 8 times as much.
        counts: Blocks of each stage.
        inflated: For each stage the extents in time of the first convolutions, repeated over its blocks.
        stem: Extent of the stem in time.
        strides: Of stem and max pooling in time.
        more: Channels that are joined to the input of each stage.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        counts: Sequence[int],
        inflated: Sequence[Sequence[int]],
        stem: int,
        strides: Tuple[int, int] = (1, 1),
        more: Sequence[int] = (0, 0, 0, 0),
    ) -> None:
        super().__init__()
        self.conv1 = conv3d(channels, width, (stem, 7, 7), (strides[0], 2, 2))
        self.maxpool = nn.MaxPool3d((1, 3, 3), stride=(strides[1], 2, 2), padding=(0, 1, 1))
        out = width
        for index, count in enumerate(counts):
            pattern, stride, blocks = inflated[index], 1 if index == 0 else 2, []
            for number in range(count):
                first = number == 0
                blocks.append(
                    Bottleneck3d(
                        out + more[index] if first else out,
                        width << index,
                        stride if first else 1,
                        pattern[number % len(pattern)],
                    )
                )
                out = blocks[-1].out_width
            setattr(self, f"layer{index + 1}", nn.Sequential(*blocks))
        self.out_width = out

    def forward(self, x: Tensor) -> Tensor:
        """Map clips, float (N, channels, T, H, W), to features."""
        return self.layer4(self.layer3(self.layer2(self.layer1(self.maxpool(self.conv1(x))))))


class Head(nn.Module):
    """The classifier."""

    def __init__(self, in_width: int, classes: int) -> None:
        super().__init__()
        self.fc_cls = nn.Linear(in_width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, in_width) to (N, classes)."""
        return self.fc_cls(x)


class Recognizer3d(nn.Module):
    """A backbone, pooling over time and space, a classifier.

    Attributes:
        avgpool: Maps features (N, C, T, H, W) to (N, C); has no weights and may be replaced.
    """

    def __init__(self, backbone: nn.Module, cls_head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.avgpool: nn.Module = GlobalPool()
        self.cls_head = cls_head

    def features(self, x: Tensor) -> Tensor:
        """Map clips, float (N, channels, T, H, W), to the backbone's output."""
        return self.backbone(x)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised clips, float (N, channels, T, H, W), to logits, float (N, classes)."""
        return self.cls_head(self.avgpool(self.features(x)))


def conv3d(
    in_width: int, width: int, kernel: Extent, stride: Extent = 1, active: bool = True, groups: int = 1
) -> ConvBn:
    """Return a convolution that pads by half its kernel, normalised."""
    padding = tuple(extent // 2 for extent in kernel) if isinstance(kernel, tuple) else kernel // 2
    conv = nn.Conv3d(in_width, width, kernel, stride, padding, groups=groups, bias=False)
    return ConvBn(conv, width, active)


def conv2d(in_width: int, width: int, kernel: int, stride: int = 1, active: bool = True) -> ConvBn:
    """Return a convolution of images that pads by half its kernel, normalised."""
    return ConvBn(nn.Conv2d(in_width, width, kernel, stride, kernel // 2, bias=False), width, active)


def _is_flat(conv: nn.Module) -> bool:
    return any(isinstance(module, nn.Conv2d) for module in conv.modules())
