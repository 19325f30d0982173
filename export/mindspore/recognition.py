"""What network a checkpoint belongs to, and how it differs from another, read from its names and shapes.

Both kinds of checkpoint can be asked about: the names that are looked at are the same in PyTorch and MindSpore, or
looked for in both forms.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Mapping, Optional, Tuple

from clip2om.export.entries import read_options
from clip2om.pipeline.card import Card

Shapes = Mapping[str, Tuple[int, ...]]
RESNET3D, R2PLUS1D = NETWORKS = ("resnet3d", "r2plus1d")
WIDTHS = (64, 128, 256, 512)
# Whether the blocks are bottlenecks, and how many of them are in each stage.
RESNET3D_DEPTHS = {
    10: (False, (1, 1, 1, 1)),
    18: (False, (2, 2, 2, 2)),
    34: (False, (3, 4, 6, 3)),
    50: (True, (3, 4, 6, 3)),
    101: (True, (3, 4, 23, 3)),
    152: (True, (3, 8, 36, 3)),
    200: (True, (3, 24, 36, 3)),
}
R2PLUS1D_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
_LAYERS = (1, 2, 3, 4)
_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class R2Plus1dOptions:
    """Depth, and the factor of all widths; there are shortcuts of type B alone."""

    classes: int
    depth: int = 34
    shortcut: str = "B"
    widen_factor: float = 1.0


@dataclasses.dataclass(frozen=True)
class ResNet3dOptions:
    """Those of the stem beside; poolings pad at the end only in any case, which ``same_padding`` says elsewhere."""

    classes: int
    depth: int = 50
    shortcut: str = "B"
    widen_factor: float = 1.0
    conv1_t_size: int = 7
    conv1_t_stride: int = 1
    no_max_pool: bool = False
    same_padding: bool = False


_OPTIONS = {RESNET3D: ResNet3dOptions, R2PLUS1D: R2Plus1dOptions}


def options_of(card: Card) -> Any:
    """Return the options of the card's network.

    Raises:
        RequestError: one that it does not take, or of another type.
    """
    return read_options(_OPTIONS[card.model.network], card.model, f"MindSpore's {card.model.network}", card.path)


@dataclasses.dataclass(frozen=True)
class Description:
    """What names and shapes tell of a network; ``depth`` 0 is none that is known.

    Attributes:
        network: ``resnet3d`` or ``r2plus1d``.
        shortcut: ``A`` (no weights) or ``B``.
        conv1_t_size: Extent of the stem's kernel in time.
    """

    network: str
    depth: int
    classes: int
    shortcut: str
    widen_factor: float
    conv1_t_size: int

    def __str__(self) -> str:
        depth = f"depth {self.depth}" if self.depth else "no known depth"
        width = "" if self.widen_factor == 1 else f", width x {self.widen_factor:g}"
        kind = f", shortcut {self.shortcut}" if self.network == RESNET3D else ""
        return f"{self.network} of {depth}{kind}{width}, {self.classes} classes"

    def changes(self, options: Any) -> List[str]:
        """Return the card entries that would make a network of ``options`` this one, as ``--set`` takes them."""
        entries: Dict[str, Any] = {"depth": self.depth, "classes": self.classes, "widen_factor": self.widen_factor}
        if self.network == RESNET3D:
            entries.update(shortcut=self.shortcut, conv1_t_size=self.conv1_t_size)
        return [
            f"model.{'' if key == 'classes' else 'arguments.'}{key}={value}"
            for key, value in entries.items()
            if value and value != getattr(options, key)
        ]


def describe(shapes: Shapes) -> Optional[Description]:
    """Return what network of the two a checkpoint holds, or None for any other."""
    if any(len(shapes.get(name, ())) != rank for name, rank in (("conv1.weight", 5), ("fc.weight", 2))):
        return None
    counts = tuple(len({name.split(".")[1] for name in shapes if name.startswith(f"layer{i}.")}) for i in _LAYERS)
    wide = shapes["fc.weight"][1]
    shortcut = "B" if "layer2.0.downsample.0.weight" in shapes else "A"
    if len(shapes.get("layer1.0.conv1.conv1.weight", ())) == 5:
        depth = next((depth for depth, known in R2PLUS1D_DEPTHS.items() if known == counts), 0)
        return Description(R2PLUS1D, depth, shapes["fc.weight"][0], shortcut, wide / WIDTHS[3], 1)
    if len(shapes.get("layer1.0.conv2.weight", ())) != 5 or not _is_plain(shapes):
        return None
    bottleneck = len(shapes.get("layer1.0.conv3.weight", ())) == 5
    depth = next((depth for depth, known in RESNET3D_DEPTHS.items() if known == (bottleneck, counts)), 0)
    factor = wide / (WIDTHS[3] * (4 if bottleneck else 1))
    return Description(RESNET3D, depth, shapes["fc.weight"][0], shortcut, factor, shapes["conv1.weight"][2])


def _is_plain(shapes: Shapes) -> bool:
    """Tell a ResNet from its relatives, whose names are the same.

    The middle convolutions of a ResNeXt have groups, the bottlenecks of a wide ResNet expand by two, and a
    pre-activation ResNet normalises what comes into a block.
    """
    middle = shapes["layer1.0.conv2.weight"]
    last = shapes.get("layer1.0.conv3.weight", (4, 1))
    convolved = shapes.get("layer2.0.conv1.weight", ())[:1]
    names = (f"layer2.0.bn1.{suffix}" for suffix in ("weight", "bn2d.gamma"))
    normalised = next((tuple(shapes[name]) for name in names if name in shapes), convolved)
    return middle[0] == middle[1] and last[0] == 4 * last[1] and normalised == tuple(convolved)


def differences(expected: Shapes, found: Shapes) -> List[str]:
    """Return in words how a checkpoint differs from the expected one, first names only; empty where it fits."""
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    shapes = [
        f"{name} is {_say(found[name])}, expected {_say(shape)}"
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != tuple(shape)
    ]
    named = (("missing", missing), ("unexpected", unexpected), ("different", shapes))
    return [_first(word, names) for word, names in named if names]


def _first(word: str, names: List[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{word}: {', '.join(names[:_SHOWN])}{more}"


def _say(shape: Tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"
