"""The manifest of a batch folder: which clip lies where, what it shows, and how it was prepared.

``manifest.json`` is written last, so a folder with a manifest is complete. It holds no time and no host, so the same
dataset gives the same bytes whatever the number of workers and however often the run was interrupted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Dict, Iterator, List, Optional, Tuple

from clip2om.pipeline.artifact import PathLike, digest_of, load_json, read_json, write_json, write_text
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.tensor import TensorSpec
from clip2om.pipeline.typed import LATER_LIST, Distinct, FileName, from_dict, later, to_dict

VERSION = 2
FILE_NAME = "manifest.json"
LAYOUTS = ("packed", "per-video", "per-clip")
_TODO = "run python -m preprocess first"


@dataclass(frozen=True)
class Fingerprint:
    """Everything that decides the values of a tensor; two runs are comparable when their digests agree.

    Attributes:
        rounding: How pixels and values are rounded; ``side_rounding`` how the resized frame's sides are.
        mean_volume: SHA-256 of the file of the mean volume; empty without one.
        order: ``numeric``, or ``lexicographic by`` the format of the frames' names.
        source_rate: Frames per second of frame folders, and of video files that do not tell, where it matters.
        views: Of each video that were asked for with ``--views``, 0 for all.
    """

    decoder: str
    kernel: str
    antialias: bool
    rounding: str
    resize: int
    crop: str
    size: int
    color: str
    scale: float
    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    sampler: str
    frames: int
    stride: int
    max_clips: int
    rule: str = "short"
    long: int = 0
    side_rounding: str = "truncate"
    mean_volume: str = ""
    count: int = 1
    start: str = "center"
    seed: int = 0
    span: int = 0
    order: str = "numeric"
    interval: int = later(1)
    rate: float = later(0.0)
    beyond: str = later("")
    twice: bool = later(False)
    positions: int = later(10)
    source_rate: float = later(0.0)
    flip: bool = later(False)
    views: int = later(0)

    @property
    def digest(self) -> str:
        """SHA-256 of the fields."""
        return digest_of(to_dict(self))


@dataclass(frozen=True)
class BatchFile:
    """One file of the folder; ``clips`` slots of it are used, the others are zero."""

    name: FileName
    bytes: int
    clips: int
    sha256: str


def _stem(file: BatchFile) -> str:
    """What the result files of a batch are named after: two batches with one stem would share them."""
    return Path(file.name).stem


@dataclass(frozen=True)
class ClipSlot:
    """Where a clip lies, and the lowest and the highest number of the frames that it shows.

    ``file`` counts in Manifest.files, ``slot`` over the clips of that file in C order: N, or N x K where the tensor
    has an axis K.
    """

    file: int
    slot: int
    first: int
    last: int


@dataclass(frozen=True)
class Video:
    """A video whose clips are in the folder, in time order.

    Attributes:
        id: Identifier in the annotation; never derived from a file name.
        label: Class name; None where the annotation has none.
        segment: First frame and last frame + 1, as the frames are numbered (from the card's dataset.first_frame).
        dropped_clips: Clips of the segment that the layout or --max-clips left out.
        clips: (file, slot, lowest frame, highest frame) per clip: where frames have several crops, or not all views
            are there, per view.
        views: (clip, crop) of each of them, counted in time and in the order of the crops; empty where each is a clip.
    """

    id: str
    label: Optional[str]
    segment: Tuple[int, int]
    dropped_clips: int
    clips: List[Tuple[int, int, int, int]]
    views: List[Tuple[int, int]] = field(default_factory=list, metadata=LATER_LIST)

    def slots(self) -> Iterator[ClipSlot]:
        """Yield the clips with their fields named."""
        return (ClipSlot(*clip) for clip in self.clips)


@dataclass(frozen=True)
class Skipped:
    """A video of the subset that has no clips in the folder, and why."""

    id: str
    label: Optional[str]
    reason: str


@dataclass(frozen=True)
class Manifest:
    """What a batch folder holds.

    Attributes:
        card: Name of the model card; ``card_digest`` covers the sections the batches depend on, ``transform_digest``
            the transform alone.
        dataset: Name of the dataset; ``<dataset>.info`` lies beside the manifest.
        annotation: Name of the annotation file, without its folder, and its digest.
        layout: One of :data:`LAYOUTS`.
        tensor: Contents of one file, batch axis first.
        labels: Class names in class order.
        expected: Videos of the subset: scored + skipped = expected.
        versions: Decoding libraries and their versions.
        labels_digest: Digest of the class names in class order: the card's where it has some, else ``labels``.
        crops: Names of the crops of a frame, where there are several.
    """

    card: str
    card_digest: str
    transform_digest: str
    dataset: FileName
    subset: str
    annotation: str
    annotation_sha256: str
    layout: str
    tensor: TensorSpec
    fingerprint: Fingerprint
    labels: List[str]
    expected: int
    files: Annotated[List[BatchFile], Distinct(_stem, "name without ending")]
    videos: List[Video]
    skipped: List[Skipped]
    versions: Dict[str, str]
    labels_digest: str = ""
    crops: List[str] = field(default_factory=list, metadata=LATER_LIST)

    @property
    def clips(self) -> int:
        """Number of clips in all files, padding apart."""
        return sum(len(video.clips) for video in self.videos)

    def info(self) -> str:
        """Return the recipes' two-column text: video id and number of clips, in slot order.

        In the recipes' own layout the number counts the clips that were cut off too (the 3d_resnet recipe does so).
        """
        cut = self.layout == "per-video"
        rows = ((video.id, len(video.clips) + (video.dropped_clips if cut else 0)) for video in self.videos)
        return "".join(f"{name} {count}\n" for name, count in rows)


def write_manifest(folder: PathLike, manifest: Manifest) -> None:
    """Write ``<dataset>.info``, then ``manifest.json``: its presence says that the folder is complete."""
    write_text(Path(folder) / f"{manifest.dataset}.info", manifest.info())
    write_json(Path(folder) / FILE_NAME, "batches", VERSION, to_dict(manifest), indent=0)


def read_manifest(folder: PathLike) -> Manifest:
    """Read the manifest of a batch folder.

    Raises:
        RequestError: there is none (the folder is incomplete), or it is not a manifest of this format.
    """
    path = Path(folder) / FILE_NAME
    return from_dict(Manifest, read_json(path, "batches", VERSION, _TODO), path)


def format_version(folder: PathLike) -> Optional[object]:
    """Return the format version that the manifest of a folder states; None where there is no manifest."""
    path = Path(folder) / FILE_NAME
    try:
        content = load_json(path, _TODO)
    except RequestError:
        return None
    return content.get("version") if isinstance(content, dict) else None
