"""What the steps of the API give: where it lies, and what a program wants to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Optional, Tuple

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Card:
    """A model card with the entries that were overridden.

    Attributes:
        model: Name of the card, or the file it was read from.
        overrides: ``section.key=value`` of each entry that was overridden.
        name: The card's name, as records have it.
        framework: ``pytorch``, ``tensorflow``, ``paddle`` or ``mindspore``.
        network: The network, as its framework's exporter knows it.
        classes: Number of classes.
        labels: Class names in class order; empty where the annotation brings its own.
        batch: Clips per execution by default.
        clip: Shape of one clip as the graph takes it, without the batch axis.
    """

    model: str
    overrides: Tuple[str, ...]
    name: str
    framework: str
    network: str
    classes: int
    labels: Tuple[str, ...]
    batch: int
    clip: Tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """An exported graph.

    Attributes:
        folder: Where it lies, with its record ``model.json``.
        file: The graph itself.
        format: ``onnx``, ``pb``, ``mindir`` or ``air``.
        batch: Clips per execution, -1 where that is left open.
        sha256: Digest of the graph.
        max_abs_diff: Largest difference of its logits from those of its framework, of which the largest is ``max_abs``.
        cosine: Cosine of the two outputs.
    """

    folder: Path
    file: Path
    format: str
    batch: int
    sha256: str
    max_abs_diff: float
    max_abs: float
    cosine: float


@dataclass(frozen=True)
class Batches:
    """A dataset as batches of clips.

    Attributes:
        folder: Where they lie, with ``manifest.json``.
        clips: Clips in all of them.
        videos: Videos they are of.
        files: Files of ``batch`` clips each, the last one padded.
        skipped: Reason by id of each video that could not be used.
    """

    folder: Path
    clips: int
    videos: int
    files: int
    batch: int
    skipped: Dict[str, str]


@dataclass(frozen=True)
class Model:
    """A compiled model.

    Attributes:
        folder: Where it lies, with its record ``model.json``.
        file: The model itself.
        format: ``om``, ``openvino``, ``onnx`` or ``mindir``.
        soc: What it is for: ``cpu`` or a ``--soc_version`` of ATC.
        batch: Clips per execution; the largest of several.
        precision: Of the computation as compiled, for example ``float32``.
    """

    folder: Path
    file: Path
    format: str
    soc: str
    batch: int
    precision: str


@dataclass(frozen=True)
class Run:
    """The scores of a run as files.

    Attributes:
        folder: Where they lie, with ``summary.json``.
        engine: What computed, with its version.
        device: What it computed on.
        clips_per_s: Clips per second from the first read to the last write; None where an earlier run did it all and
            left no figures.
        batch_ms: Mean milliseconds of a batch from submission to completion; None likewise.
    """

    folder: Path
    engine: str
    engine_version: str
    device: str
    precision: str
    clips_per_s: Optional[float]
    batch_ms: Optional[float]


@dataclass(frozen=True)
class VideoScores:
    """Scores per video.

    Attributes:
        ids: Video ids, in the order of the batches.
        labels: Class names, one per column.
        truth: int32 (videos,), class of each video, -1 where the annotation gives none.
        scores: float32 (videos, classes), the mean over each video's clips after the card's activation.
        absent: Reason by id of each video of the subset without scores.
    """

    ids: Tuple[str, ...]
    labels: Tuple[str, ...]
    truth: "np.ndarray"
    scores: "np.ndarray"
    absent: Dict[str, str]

    def best(self, k: int = 1) -> Dict[str, List[str]]:
        """Return the ``k`` best labels of each video by its id, the best first."""
        order = (-self.scores).argsort(axis=1, kind="stable")[:, :k]
        return {name: [self.labels[column] for column in row] for name, row in zip(self.ids, order)}


@dataclass(frozen=True)
class Share:
    """``hits`` of ``total`` with the 95 % interval of Wilson (1927); None where nothing was counted."""

    hits: int
    total: int
    value: Optional[float]
    low: Optional[float]
    high: Optional[float]


@dataclass(frozen=True)
class Accuracy:
    """What was counted.

    Attributes:
        folder: Where ``accuracy.json``, ``val.json`` and ``scores.npz`` lie.
        videos: ``top-1`` … ``top-k`` and ``top-5``, over videos; one without scores counts as wrong.
        clips: The same over single clips that have scores.
        per_class: Top-1 over the videos of each class, by its label.
        mean_class: Mean of those.
    """

    folder: Path
    videos: Dict[str, Share]
    clips: Dict[str, Share]
    per_class: Dict[str, Share]
    mean_class: Optional[float]
