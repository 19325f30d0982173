"""How far two executions of one graph are apart, layer by layer, and where they part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterator, List, Optional, Sequence

import numpy as np

from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.tensor import TensorSpec
from clip2om.scripts.drift.graph import Layer, OnnxGraph
from clip2om.scripts.drift.sides import Side

# Float32 in another order of summation differs by about this much: smaller errors have no cause worth a name.
_NOISE = 1e-5
_CHUNK_BYTES = 512 << 20


@dataclass(frozen=True)
class Feed:
    """One batch file; the first ``items`` of its batch hold clips, what follows is padding."""

    tensor: TensorSpec
    values: np.ndarray
    items: int


@dataclass(frozen=True)
class LayerDrift:
    """One layer on both sides.

    Attributes:
        depth: Place in the order of execution, counted from 1.
        cosine: Cosine of the two flattened outputs.
        relative: Euclidean length of the difference over that of the reference.
        max_abs_diff: Largest absolute difference.
        grown: ``relative`` over the largest one of the layers it reads (at least 1e-5): what the layer adds itself.
    """

    depth: int
    name: str
    op: str
    cosine: float
    relative: float
    max_abs_diff: float
    grown: float


@dataclass(frozen=True)
class Limits:
    """What a layer may differ by: the customary limits of Ascend's accuracy tools are 0.99 and 0.05."""

    min_cosine: float = 0.99
    max_relative: float = 0.05

    def missed(self, layer: LayerDrift) -> bool:
        """Return whether a layer is beyond a limit; NaN is."""
        return not (layer.cosine >= self.min_cosine and layer.relative <= self.max_relative)


@dataclass(frozen=True)
class Drift:
    """All layers that both sides have, in order; ``unmatched`` are those that only the reference has."""

    layers: List[LayerDrift]
    unmatched: List[str]

    def first(self, limits: Limits) -> Optional[LayerDrift]:
        """Return the first layer beyond a limit."""
        return next((layer for layer in self.layers if limits.missed(layer)), None)

    def worst(self, count: int) -> List[LayerDrift]:
        """Return the ``count`` layers with the largest relative error, NaN first."""
        return sorted(self.layers, key=lambda layer: (layer.relative == layer.relative, -layer.relative))[:count]

    def sources(self, count: int) -> List[LayerDrift]:
        """Return the ``count`` layers that add most to the error that they are given."""
        grown = [layer for layer in self.layers if not layer.relative <= _NOISE]
        return sorted(grown, key=lambda layer: (layer.grown == layer.grown, -layer.grown))[:count]


def measure(reference: OnnxGraph, other: Side, feed: Feed) -> Iterator[LayerDrift]:
    """Yield each layer that both sides have, with its figures; both get the whole batch, its padding counts in none.

    Layers are computed in groups of about half a gigabyte, so that deep networks fit into memory.

    Raises:
        RequestError: a side cannot run, or the sides have no layer in common.
    """
    theirs = set(other.names())
    shared = [(depth, layer) for depth, layer in enumerate(reference.layers, 1) if layer.output in theirs]
    if not shared:
        raise RequestError(
            "has no tensor of the graph's names", getattr(other, "path", None), "convert the very graph again"
        )
    relative: Dict[str, float] = {}
    for group in _groups([layer for _, layer in shared]):
        names = [layer.output for layer in group]
        wanted, found = reference.run(feed.values, names), other.run(feed.values, names)
        for depth, layer in shared:
            if layer.output in wanted:
                one = wanted[layer.output]
                two = _cut(found[layer.output], one.shape, layer)
                drift = _compare(depth, layer, _filled(one, feed), _filled(two, feed), relative)
                relative[layer.output] = drift.relative
                yield drift


def _groups(layers: Sequence[Layer]) -> Iterator[List[Layer]]:
    group: List[Layer] = []
    for layer in layers:
        if group and sum(item.nbytes for item in group) + layer.nbytes > _CHUNK_BYTES:
            yield group
            group = []
        group.append(layer)
    if group:
        yield group


def _filled(values: np.ndarray, feed: Feed) -> np.ndarray:
    """Return the rows of a layer's output that come from clips; a layer may have several per item of the batch."""
    rows = len(values) if values.ndim else 0
    return values if not rows or rows % feed.tensor.batch else values[: rows // feed.tensor.batch * feed.items]


def _compare(depth: int, layer: Layer, wanted: np.ndarray, found: np.ndarray, relative: Dict[str, float]) -> LayerDrift:
    one, two = wanted.astype(np.float64), found.astype(np.float64)
    difference = float(np.linalg.norm(one - two))
    length = float(np.linalg.norm(one))
    product = length * float(np.linalg.norm(two))
    cosine = float(np.vdot(one, two)) / product if product else float(difference == 0)
    error = difference / length if length else float(difference != 0)
    given = max((relative[name] for name in layer.inputs if name in relative), default=0.0)
    largest = float(np.max(np.abs(one - two))) if one.size else 0.0
    return LayerDrift(depth, layer.name, layer.op, cosine, error, largest, error / max(given, _NOISE))


def _cut(found: np.ndarray, shape: Sequence[int], layer: Layer) -> np.ndarray:
    """Return ``found`` in the reference's shape: without the channels that an NPU's blocked layout pads.

    Raises:
        RequestError: it cannot be the same tensor.
    """
    if found.ndim == len(shape) > 1 and found.shape[1] > shape[1]:
        found = found[:, : shape[1]]
    if found.size != int(np.prod(shape)):
        raise RequestError(
            f"is {'x'.join(map(str, found.shape))} on one side, {'x'.join(map(str, shape))} in the graph",
            f"layer {layer.name}",
            "run both sides on the same batch",
        )
    return found.reshape(shape)
