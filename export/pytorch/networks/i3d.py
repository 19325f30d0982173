"""SlowOnly and I3D: ResNets whose kernels reach over time in some blocks, under the names of mmaction2.

Feichtenhofer et al., "SlowFast Networks for Video Recognition", ICCV 2019 (its slow path alone); Carreira and
Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017; Wang et al., "Non-local Neural Networks", CVPR 2018. PySlowFast
has the same SlowOnly, and an I3D that steps in time neither in the stem nor in the pooling behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Dict, Tuple

import torch
from torch import Tensor, nn

from clip2om.export.pytorch.convmodule import DEPTHS, WIDTHS, ConvBn, Head, Recognizer3d, Trunk3d
from clip2om.export.pytorch.family import PLAIN, Clip, Family, State, depth_of
from clip2om.export.pytorch.residual import refuse_depth, scaled
from clip2om.pipeline.typed import Rule

_SLOW = ((1,), (1,), (3,), (3,))
_I3D = ((3,), (3, 1), (3, 1), (1, 3))
# Blocks of layer2 and layer3 behind which a non-local block stands, of mmaction2's configurations.
_SLOW_BLOCKS = ((0, 2), (0, 2, 4))
_I3D_BLOCKS = ((1, 3), (1, 3, 5))
NonLocal = Annotated[
    str, Rule(lambda kind: kind in ("", "embedded_gaussian", "dot_product"), "embedded_gaussian, dot_product or empty")
]


@dataclass(frozen=True)
class SlowOnlyOptions:
    """Depth, the factor of all widths, and the kind of non-local blocks; ``use_scale`` divides by the root of C."""

    classes: int
    depth: int = 50
    widen_factor: float = 1.0
    non_local: NonLocal = ""
    use_scale: bool = True


@dataclass(frozen=True)
class I3dOptions:
    """Steps in time of stem, first pooling and (two, where ``with_pool2``) second pooling, and non-local blocks."""

    classes: int
    depth: int = 50
    widen_factor: float = 1.0
    conv1_stride_t: int = 2
    pool1_stride_t: int = 2
    with_pool2: bool = True
    non_local: NonLocal = ""
    use_scale: bool = False


class NonLocalBlock(nn.Module):
    """Attention of all positions to all positions, which are pooled in space, added to the input (mmcv's NonLocal3d).

    Args:
        width: Channels of the input.
        clip: Frames, height and width of the input: targets of reshapes are constants.
        kind: ``embedded_gaussian`` (a softmax) or ``dot_product`` (a mean).
        use_scale: The softmax takes products divided by the root of their length.
    """

    def __init__(self, width: int, clip: Tuple[int, int, int], kind: str, use_scale: bool) -> None:
        super().__init__()
        frames, height, high = clip
        self.inner, self.size, self.kind = width // 2, clip, kind
        self.positions, self.pooled = frames * height * high, frames * (height // 2) * (high // 2)
        self.scale = self.inner**-0.5 if use_scale else 1.0
        self.g = nn.Sequential(_Plain(width, self.inner), nn.MaxPool3d((1, 2, 2)))
        self.theta = _Plain(width, self.inner)
        self.phi = nn.Sequential(_Plain(width, self.inner), nn.MaxPool3d((1, 2, 2)))
        self.conv_out = ConvBn(nn.Conv3d(self.inner, width, 1, bias=False), width, active=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, width, T, H, W) to the same."""
        theta = self.theta(x).reshape(-1, self.inner, self.positions).transpose(1, 2)
        weights = torch.matmul(theta, self.phi(x).reshape(-1, self.inner, self.pooled))
        if self.kind == "dot_product":
            weights = weights * (1 / self.pooled)
        else:
            weights = (weights * self.scale if self.scale != 1 else weights).softmax(-1)
        y = torch.matmul(weights, self.g(x).reshape(-1, self.inner, self.pooled).transpose(1, 2))
        return x + self.conv_out(y.transpose(1, 2).reshape(-1, self.inner, *self.size))


class _Plain(nn.Module):
    """A 1x1x1 convolution with bias under the name ``conv``."""

    def __init__(self, in_width: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_width, T, H, W) to (N, width, T, H, W)."""
        return self.conv(x)


class Trunk(Trunk3d):
    """The stages with a pooling over two frames between the first two, where there is one."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.pool2: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map clips, float (N, channels, T, H, W), to features."""
        x = self.layer1(self.maxpool(self.conv1(x)))
        return self.layer4(self.layer3(self.layer2(self.pool2(x))))


def slowonly(options: SlowOnlyOptions, clip: Clip) -> Recognizer3d:
    """Return the slow path of SlowFast as a network of its own.

    Raises:
        RequestError: another depth, or a factor that leaves no channels.
    """
    trunk = Trunk(clip[0], *_scale(options), _SLOW, 1)
    if options.non_local:
        _add_blocks(trunk, (clip[1], *_behind_stem(clip)), _SLOW_BLOCKS, options)
    return Recognizer3d(trunk, Head(trunk.out_width, options.classes))


def i3d(options: I3dOptions, clip: Clip) -> Recognizer3d:
    """Return the I3D.

    Raises:
        RequestError: another depth, or a factor that leaves no channels.
    """
    strides = (options.conv1_stride_t, options.pool1_stride_t)
    trunk = Trunk(clip[0], *_scale(options), _I3D, 5, strides)
    frames = clip[1]
    for step in strides:
        frames = (frames - 1) // step + 1
    if options.with_pool2:
        trunk.pool2 = nn.MaxPool3d((2, 1, 1))
        frames //= 2
    if options.non_local:
        _add_blocks(trunk, (frames, *_behind_stem(clip)), _I3D_BLOCKS, options)
    return Recognizer3d(trunk, Head(trunk.out_width, options.classes))


def _add_blocks(trunk: Trunk3d, size: Tuple[int, int, int], places: Tuple[Tuple[int, ...], ...], options: Any) -> None:
    frames, height, width = size
    layers: Any = (trunk.layer2, trunk.layer3)
    for layer, numbers in zip(layers, places):
        height, width = (height + 1) // 2, (width + 1) // 2
        for number in numbers:
            extents, width_in = (frames, height, width), layer[number].out_width
            # A part of the block itself, as the names have it: backbone.layer2.1.non_local_block.g.0.conv.weight.
            layer[number].non_local_block = NonLocalBlock(width_in, extents, options.non_local, options.use_scale)


def _scale(options: Any) -> Tuple[int, Tuple[int, ...]]:
    if options.depth not in DEPTHS:
        raise refuse_depth(options.depth, list(DEPTHS))
    return scaled(WIDTHS[0], options.widen_factor), DEPTHS[options.depth]


def _behind_stem(clip: Clip) -> Tuple[int, int]:
    return (clip[2] + 3) // 4, (clip[3] + 3) // 4


def _read(state: State) -> Dict[str, Any]:
    factor = len(state["backbone.conv1.conv.weight"]) / WIDTHS[0]
    options: Dict[str, Any] = {**depth_of(DEPTHS, state, "backbone.layer"), "widen_factor": factor}
    if any(".non_local_block." in name for name in state):
        options["non_local"] = "embedded_gaussian"
    return {**options, "classes": len(state["cls_head.fc_cls.weight"])}


def _is(stem: int) -> Any:
    """Return what tells the network by its stem's extent in time, and that it convolves in space alone elsewhere."""
    return lambda state: (
        state["backbone.conv1.conv.weight"].shape[2] == stem
        and state["backbone.layer1.0.conv2.conv.weight"].shape[2] == 1
        and state["backbone.layer3.0.conv1.conv.weight"].shape[2] == 3
    )


_LANDMARKS = {
    "backbone.conv1.conv.weight": 5,
    "backbone.layer1.0.conv2.conv.weight": 5,
    "backbone.layer3.0.conv1.conv.weight": 5,
    "cls_head.fc_cls.weight": 2,
}
_OPERATORS = PLAIN | {"MaxPool", "MatMul", "Softmax", "Reshape", "Transpose", "Mul"}
FAMILIES = (
    Family(
        "slowonly",
        SlowOnlyOptions,
        slowonly,
        "a SlowOnly of mmaction2",
        _OPERATORS,
        _LANDMARKS,
        _read,
        _is(1),
        untold=("use_scale",),
    ),
    Family(
        "i3d",
        I3dOptions,
        i3d,
        "an I3D of mmaction2",
        _OPERATORS,
        _LANDMARKS,
        _read,
        _is(5),
        untold=("conv1_stride_t", "pool1_stride_t", "with_pool2", "use_scale"),
    ),
)
