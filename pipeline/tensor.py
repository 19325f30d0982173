"""What a tensor is called, and how many bytes it has."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Tuple

from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.typed import Checked, later

DTYPES = ("float32", "float16", "uint8", "int8", "int32", "int64")
DYNAMIC = -1
# Dtypes that no stage feeds, and that a graph's output may have.
_KNOWN = (*DTYPES, "float64", "bfloat16", "bool", "int16", "uint16", "uint32", "uint64")
_MOST_VALUES = 1 << 40


@dataclass(frozen=True)
class TensorSpec(Checked):
    """One input or output of a model.

    Attributes:
        name: Tensor name in the graph.
        dtype: NumPy dtype name, one of :data:`DTYPES`.
        shape: Extent of each axis; -1 marks a symbolic batch.
        layout: One letter per axis: N batch, K clips of one video, C channel, T frame, H row, W column.
        frames: Frames of a clip along the first axis, which is N x T then: how 2-D networks take clips.
        views: Clips of one video along the first axis, too: N x K x T.
    """

    name: str
    dtype: str
    shape: Tuple[int, ...]
    layout: str
    frames: int = later(1)
    views: int = later(1)

    def contradiction(self) -> str:
        """Return what is impossible about a tensor, as a record may state it."""
        if self.dtype not in _KNOWN:
            return f"has dtype {self.dtype[:40]!r}, expected one of: {', '.join(DTYPES)}"
        if self.layout and len(self.layout) != len(self.shape):
            return f"has layout {self.layout[:40]!r} for {len(self.shape)} axes"
        if any(extent < 1 and (extent, place) != (DYNAMIC, 0) for place, extent in enumerate(self.shape)):
            return f"has shape {list(self.shape)[:9]}, expected extents of 1 or more, and {DYNAMIC} for an open batch"
        if math.prod(map(abs, self.shape)) > _MOST_VALUES:
            return f"has {math.prod(map(abs, self.shape)):.3g} values, which no device holds"
        if min(self.frames, self.views) < 1 or (self.shape and self.shape[0] > 0 and self.shape[0] % self.folded):
            return f"has {self.frames} frames and {self.views} views in a first axis of {self.shape[0]}"
        return ""

    @property
    def folded(self) -> int:
        """Extent of the first axis for one item: 1 unless frames, or frames and views, lie along it."""
        return self.frames * self.views

    @property
    def batch(self) -> int:
        """Items: the extent of the first axis where an item takes one place of it, -1 if it is symbolic."""
        return self.shape[0] if self.shape[0] == DYNAMIC else self.shape[0] // self.folded

    @property
    def clips_per_item(self) -> int:
        """Clips in one item of the batch: the extent of axis K, 1 without one."""
        return self.shape[self.layout.index("K")] if "K" in self.layout else self.views

    @property
    def clips(self) -> int:
        """Clip slots of the whole tensor, N x K, in C order; the batch must not be symbolic."""
        return self.batch * self.clips_per_item

    @property
    def nbytes(self) -> int:
        """Size in bytes; the shape must not be symbolic."""
        if DYNAMIC in self.shape:
            raise ValueError(f"{self.name} has a symbolic shape {self.shape}")
        import numpy as np

        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def with_batch(self, batch: int) -> TensorSpec:
        """Return the same tensor for another number of items, or -1; a scalar has none and stays as it is."""
        if not self.shape:
            return self
        return replace(self, shape=(batch if batch == DYNAMIC else batch * self.folded, *self.shape[1:]))

    def __str__(self) -> str:
        extents = "x".join("N" if extent == DYNAMIC else str(extent) for extent in self.shape)
        if not self.shape:
            return f"{self.name} {self.dtype} scalar"
        parts = ((self.views, "views"), (self.frames, "frames"))
        folded = " x ".join(f"{count} {what}" for count, what in parts if count > 1)
        return f"{self.name} {self.dtype} {extents} {self.layout}" + (f" ({folded} an item)" if folded else "")


def check_feed(model: TensorSpec, batches: TensorSpec, model_file: object, batch_folder: object) -> None:
    """Refuse batches that the model cannot take, by name, dtype, shape and batch size.

    Raises:
        RequestError: naming both sides and the command that mends it.
    """
    where = f"{batch_folder} against {model_file}"
    if model.name != batches.name:
        raise RequestError(f"the batches are for input {batches.name!r}, the model's is {model.name!r}", where)
    if model.dtype != batches.dtype:
        raise RequestError(
            f"the batches are {batches.dtype}, the model's input {model.name!r} takes {model.dtype}",
            where,
            f"preprocess again with --dtype {model.dtype}, or export with --input-dtype {batches.dtype}",
        )
    if (model.shape[1:], model.frames, model.views) != (batches.shape[1:], batches.frames, batches.views):
        raise RequestError(
            f"the batches hold {batches}, the model takes {model}",
            where,
            "preprocess and export with the same card",
        )
    if model.batch not in (DYNAMIC, batches.batch):
        raise RequestError(
            f"the batches hold {batches.batch} clips, the model was compiled for {model.batch}",
            where,
            f"convert with --batch {batches.batch}, or preprocess with --batch {model.batch}",
        )
