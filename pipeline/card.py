"""What a model card holds: one dataclass per section; :mod:`pipeline.cards` loads them.

A card holds everything that differs between models, so that no stage knows a model by name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from clip2om.pipeline.artifact import digest_of, sha256_file
from clip2om.pipeline.card_parts import Clips as Clips
from clip2om.pipeline.card_parts import Transform as Transform
from clip2om.pipeline.card_views import views_per_video
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.labels import check_distinct, find_labels, read_labels
from clip2om.pipeline.places import CARDS, ROOT
from clip2om.pipeline.tensor import TensorSpec
from clip2om.pipeline.typed import later, to_dict


@dataclass(frozen=True)
class Model:
    """What the network is, where its trained weights are expected and where they come from.

    ``network`` is a family of the project, or code: ``torchvision.models.video:r3d_18``, ``my_net.py:build``. Both are
    made with ``arguments``, which a family declares, types and defaults where it is; of what code gives, ``output``
    names the scores where they are not all of it.
    """

    framework: str
    network: str
    classes: int
    checkpoint: str = ""
    origin: str = ""
    arguments: Dict[str, Any] = field(default_factory=dict)
    output: str = ""


@dataclass(frozen=True)
class Input:
    """The graph's input, without the batch axis in ``shape``; ``batch`` is the default batch size.

    ``fold`` says what lies along the batch axis beside items, for 2-D networks: ``T`` the frames of a clip, ``KT`` all
    clips of a video with their frames. ``layout`` then has neither.
    """

    name: str
    layout: str
    shape: Tuple[int, ...]
    dtype: str = "float32"
    batch: int = 10
    fold: str = later("")

    @property
    def of_videos(self) -> bool:
        """True where an item holds all clips of one video."""
        return self.layout.startswith("NK") or self.fold == "KT"


@dataclass(frozen=True)
class Dataset:
    """Default dataset; see :meth:`Card.resolve` for its paths.

    ``labels`` names a file of models/labels, or is the path of one. ``format`` says what ``annotation`` is:
    ``activitynet`` (JSON), ``list`` (lines ``<frame folder> <label>``), ``rawframes`` (lines
    ``<class>/<video> <frames> <label>``) or ``folders`` (a folder of class folders of videos). ``first_frame`` is the
    number in the name of a video's first frame. ``turn_videos`` shows video files upright, as the ffmpeg tool and
    OpenCV do by the display matrix (decord does not), ``turn_frames`` frame files by their EXIF
    data, as OpenCV does (Pillow does not). ``rate`` is how many frames per second frame folders have, and video files
    that do not tell.
    """

    name: str
    annotation: str
    videos: str
    labels: str = ""
    subset: str = "validation"
    frame_name: str = "image_{:05d}.jpg"
    first_frame: int = 1
    format: str = "activitynet"
    turn_videos: bool = True
    turn_frames: bool = False
    rate: float = later(0.0)


@dataclass(frozen=True)
class Export:
    """How the graph is written.

    Attributes:
        format: ``onnx``, ``pb``, ``mindir`` or ``air``; empty is what the framework's exporter writes by default.
        pooling: global (GlobalAveragePool), average (AveragePool with a constant kernel, which old CANN releases need)
            or mean (ReduceMean).
        softmax: The graph ends with a softmax over the classes.
        average_clips: A graph that takes several clips per video (layout NKCTHW) gives the mean of their outputs
            instead of one row per clip.
        batch_accuracy: The graph takes labels too, and gives the accuracy over the batch, as c3d_tf was published.
    """

    opset: int = 11
    output_name: str = "output"
    pooling: str = "global"
    format: str = ""
    softmax: bool = False
    average_clips: bool = False
    batch_accuracy: bool = False


@dataclass(frozen=True)
class Atc:
    """Arguments of ATC that belong to the model: framework number, input format and precision mode."""

    framework: int
    input_format: str
    precision_mode: str = "force_fp16"


@dataclass(frozen=True)
class Scores:
    """What turns the graph's outputs into scores: activation per clip, then ``averaging`` over a video's clips.

    Attributes:
        activation: ``softmax`` gives the mean of probabilities, ``none`` that of what the graph gives: logits, or
            probabilities where it ends with a softmax.
        averaging: ``mean``, ``largest`` (of each class, PySlowFast's max) or ``votes`` (each clip has one).
        rows: ``frame``: the graph gives a row for each frame of a clip, whose mean comes first, before the activation
            (TSN's and TSM's consensus, where it is not in the graph); ``clip`` otherwise.
    """

    activation: str = "softmax"
    averaging: str = later("mean")
    rows: str = later("clip")


@dataclass(frozen=True)
class Published:
    """One published figure with its hardware and source; never measured by this project."""

    metric: str
    value: float
    unit: str
    data: str
    hardware: str
    source: str


@dataclass(frozen=True)
class Card:
    """A model card; ``name`` is the file's stem, ``path`` the file it was read from.

    ``old_entries`` are arguments of the network that were written into ``[model]``, where they stood before.
    """

    model: Model
    input: Input
    clips: Clips
    transform: Transform
    dataset: Dataset
    title: str = ""
    export: Export = field(default_factory=Export)
    atc: Optional[Atc] = None
    scores: Scores = field(default_factory=Scores)
    published: List[Published] = field(default_factory=list)
    name: str = ""
    path: str = ""
    old_entries: Tuple[str, ...] = ()

    def digest(self, *sections: str) -> str:
        """Return the SHA-256 of the named sections: what a stage depends on and nothing else."""
        content: Dict[str, Any] = {section: to_dict(getattr(self, section)) for section in sections}
        if "transform" in content and self.transform.mean_volume:
            content["transform"]["mean_volume"] = self.mean_volume_digest()
        return digest_of(content)

    def mean_volume_digest(self) -> str:
        """Return the SHA-256 of the file of the mean volume; empty where the card has none.

        Raises:
            RequestError: there is no such file.
        """
        if not self.transform.mean_volume:
            return ""
        path = self.resolve(self.transform.mean_volume)
        if not path.is_file():
            raise RequestError("transform.mean_volume: no such file", path, "--set transform.mean_volume=FILE.npy")
        return sha256_file(path)

    def input_spec(self, batch: int, dtype: Optional[str] = None) -> TensorSpec:
        """Return the input tensor at batch size ``batch`` (-1: symbolic), ``dtype`` overriding the card's."""
        frames = self.clips.frames if self.input.fold else 1
        views = views_per_video(self.clips, self.transform) if self.input.fold == "KT" else 1
        shape = (frames * views, *self.input.shape)
        one = TensorSpec(self.input.name, dtype or self.input.dtype, shape, self.input.layout, frames, views)
        return one.with_batch(batch)

    def labels(self) -> List[str]:
        """Return the class names in class order; empty where the annotation brings its own.

        Raises:
            RequestError: no such file, or the same class twice.
        """
        if not self.dataset.labels:
            return []
        labels = read_labels(find_labels(self.dataset.labels, self.path, CARDS / "labels"))
        check_distinct(labels, "dataset.labels", self.path)
        return labels

    def class_names(self) -> List[str]:
        """Return :meth:`labels`, having compared their number with the network's.

        Raises:
            RequestError: as :meth:`labels`, or there are more or fewer of them.
        """
        labels, classes = self.labels(), self.model.classes
        if labels and len(labels) != classes:
            raise RequestError(
                f"dataset.labels has {len(labels)} classes, model.classes is {classes}",
                self.path,
                "name the label file of the trained model, or correct model.classes",
            )
        return labels

    def labels_digest(self) -> str:
        """Return the SHA-256 of the class names in class order; empty where the annotation brings its own."""
        labels = self.labels()
        return digest_of(labels) if labels else ""

    def resolve(self, path: str) -> Path:
        """Return a path of the card: as it is if absolute, else below the current folder.

        What lies below the project's own folder and not there is found there, as the demo's checkpoint is.
        """
        here, own = Path.cwd() / path, ROOT / path
        return own if _exists(own) and not _exists(here) else here


def _exists(path: Path) -> bool:
    """True for a file, a folder, or what TensorFlow calls a checkpoint: the beginning of several files' names."""
    return path.exists() or any(path.parent.glob(f"{escape(path.name)}.*"))
