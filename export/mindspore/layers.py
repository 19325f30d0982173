"""Convolutions, batch norm and blocks' shortcuts as MindSpore checkpoints name them."""

from __future__ import annotations

from typing import Sequence, Tuple, Union

from mindspore import nn

Extent = Union[int, Tuple[int, int, int]]


def conv(
    in_width: int, width: int, kernel: Extent, stride: Extent = 1, padding: Tuple[int, int, int] = (0, 0, 0)
) -> nn.Conv3d:
    """Return a 3-D convolution without bias; ``padding`` (T, H, W) is added on both sides.

    The weights are zeros: they always come from a checkpoint.
    """
    sides = tuple(side for extent in padding for side in (extent, extent))
    return nn.Conv3d(
        in_width, width, kernel, stride=stride, pad_mode="pad", padding=sides, has_bias=False, weight_init="zeros"
    )


def shortcut(in_width: int, width: int, stride: int) -> nn.Cell:
    """Return a block's shortcut of type B: the identity where the shape stays, else convolution and batch norm."""
    if stride == 1 and in_width == width:
        return nn.Identity()
    return nn.SequentialCell([conv(in_width, width, 1, stride), nn.BatchNorm3d(width)])


def widths_of(base: Sequence[int], factor: float) -> Tuple[int, ...]:
    """Return the widths times ``factor``, each cut to an integer."""
    return tuple(int(width * factor) for width in base)
