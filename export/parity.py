"""The graph against its framework: clips to compare on, and how far the two outputs are apart."""

from __future__ import annotations

from typing import List, Optional, Tuple

import numpy as np

from clip2om.pipeline.card import Transform
from clip2om.pipeline.dead import is_dead
from clip2om.pipeline.errors import ShortfallError
from clip2om.pipeline.records import Parity
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec

_CLIPS = 4
_DYNAMIC_BATCHES = (1, 3)
# Videos of several clips: as many sizes, less arithmetic.
_DYNAMIC_VIDEOS = (1, 2)


def probe_batches(spec: TensorSpec) -> List[np.ndarray]:
    """Return batches of pixels to compare on, uint8 in the shape of ``spec``: at least four clips in all.

    A symbolic batch gives batches of different sizes. Every run makes the same values: noise on a sawtooth whose
    slope differs along each axis, so that a swapped, flipped or reordered axis, channel or clip shows.
    """
    if spec.batch == DYNAMIC:
        sizes: Tuple[int, ...] = _DYNAMIC_BATCHES if spec.clips_per_item == 1 else _DYNAMIC_VIDEOS
    else:
        sizes = (spec.batch,) * -(-_CLIPS // spec.clips)
    return [_pixels(spec.with_batch(size).shape, seed) for seed, size in enumerate(sizes)]


def normalised(
    pixels: np.ndarray, layout: str, transform: Transform, volume: Optional[np.ndarray] = None
) -> np.ndarray:
    """Return uint8 pixels as the float32 values a network is trained on: /scale, -mean, /std, each step in float32.

    Args:
        pixels: In ``layout``.
        layout: One letter per axis.
        transform: Scale, mean and std.
        volume: The card's mean volume, float32 (T, H, W, C), in place of the mean.
    """
    mean, std = statistics(layout, transform, volume)
    return (pixels.astype(np.float32) / np.float32(transform.scale) - mean) / std


def statistics(layout: str, transform: Transform, volume: Optional[np.ndarray] = None) -> Tuple[np.ndarray, np.ndarray]:
    """Return mean and std, float32, in shapes that broadcast against values in ``layout``; as :func:`normalised`."""
    axes = [axis for axis in layout if axis in "CTHW"]
    shape = [-1 if axis == "C" else 1 for axis in axes]
    std = np.asarray(transform.std, np.float32).reshape(shape)
    if volume is None:
        return np.asarray(transform.mean, np.float32).reshape(shape), std
    return np.ascontiguousarray(volume.transpose(["THWC".index(axis) for axis in axes])), std


def compare(reference: np.ndarray, graph: np.ndarray, name: str) -> Parity:
    """Return how far the graph's logits are from the reference's, both float (clips, classes).

    Raises:
        ShortfallError: the shapes differ.
    """
    if reference.shape != graph.shape:
        raise ShortfallError(f"the graph gives logits of shape {graph.shape}, {name} gives {reference.shape}")
    wide, other = reference.astype(np.float64).ravel(), graph.astype(np.float64).ravel()
    diff = float(np.max(np.abs(wide - other)))
    norms = float(np.linalg.norm(wide) * np.linalg.norm(other))
    cosine = float(wide @ other) / norms if norms else float(diff == 0)
    return Parity(name, diff, float(np.max(np.abs(wide))), cosine, len(reference), is_dead(reference))


def _pixels(shape: Tuple[int, ...], seed: int) -> np.ndarray:
    slopes = (91, 57, 31, 7, 5, 3)[-len(shape) :]
    saw = sum(slope * axis for slope, axis in zip(slopes, np.ogrid[tuple(slice(extent) for extent in shape)]))
    noise = np.random.default_rng(seed).integers(0, 96, shape)
    return ((saw + noise + 101 * seed) % 256).astype(np.uint8)
