"""Model cards: one TOML file per deployable model, validated when loaded.

A card holds everything that differs between models, so that no stage knows a model by name. The sections are
dataclasses; an unknown key or a wrong type is an error that names the file, the key and what was expected.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from pipeline.artifact import digest_of
from pipeline.errors import RequestError
from pipeline.naming import is_plain_name
from pipeline.tensor import DTYPES, TensorSpec
from pipeline.typed import from_dict, to_dict

ROOT = Path(__file__).resolve().parent.parent
CARDS = ROOT / "models"
_CHOICES = {
    "model.framework": ("pytorch", "tensorflow", "paddle", "mindspore"),
    "model.shortcut": ("A", "B"),
    "input.dtype": DTYPES,
    "clips.sampler": ("windows",),
    "transform.kernel": ("pil-bilinear",),
    "transform.crop": ("center",),
    "transform.color": ("RGB", "BGR"),
    "export.pooling": ("global", "average", "mean"),
    "scores.activation": ("softmax", "none"),
}


@dataclass(frozen=True)
class Model:
    """What the network is and where its trained weights are expected.

    The keys after ``checkpoint`` are parameters of the 3D ResNet family; an exporter refuses those its network lacks.
    """

    framework: str
    network: str
    classes: int
    checkpoint: str = ""
    depth: int = 50
    shortcut: str = "B"
    widen_factor: float = 1.0
    conv1_t_size: int = 7
    conv1_t_stride: int = 1
    no_max_pool: bool = False


@dataclass(frozen=True)
class Input:
    """The graph's input, without the batch axis in ``shape``; ``batch`` is the default batch size."""

    name: str
    layout: str
    shape: Tuple[int, ...]
    dtype: str = "float32"
    batch: int = 10


@dataclass(frozen=True)
class Clips:
    """How frames become clips: ``frames`` per clip, window starts ``stride`` frames apart.

    ``max_clips`` cuts the clips of one video (0 keeps all): the published 3d_resnet figure needs 10.
    """

    sampler: str
    frames: int
    stride: int
    max_clips: int = 0


@dataclass(frozen=True)
class Transform:
    """Frame to tensor: shorter side to ``resize`` pixels, crop to ``size``, then (x/scale - mean) / std per channel."""

    resize: int
    size: int
    kernel: str
    crop: str
    color: str
    scale: float
    mean: Tuple[float, ...]
    std: Tuple[float, ...]


@dataclass(frozen=True)
class Dataset:
    """Default dataset; paths are relative to the project unless absolute. ``labels`` names a file of models/labels."""

    name: str
    annotation: str
    videos: str
    labels: str = ""
    subset: str = "validation"
    frame_name: str = "image_{:05d}.jpg"


@dataclass(frozen=True)
class Export:
    """How the graph is written.

    ``pooling``: global (GlobalAveragePool), average (AveragePool with a constant kernel, which old CANN releases
    need) or mean (ReduceMean).
    """

    opset: int = 11
    output_name: str = "output"
    pooling: str = "global"


@dataclass(frozen=True)
class Atc:
    """Arguments of ATC that belong to the model: framework number, input format and precision mode."""

    framework: int
    input_format: str
    precision_mode: str = "force_fp16"


@dataclass(frozen=True)
class Scores:
    """What turns the graph's outputs into scores: activation per clip, then the mean over a video's clips."""

    activation: str = "softmax"


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
    """A model card; ``name`` is the file's stem, ``path`` the file it was read from."""

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

    def digest(self, *sections: str) -> str:
        """Return the SHA-256 of the named sections: what a stage depends on and nothing else."""
        return digest_of({section: to_dict(getattr(self, section)) for section in sections})

    def input_spec(self, batch: int, dtype: Optional[str] = None) -> TensorSpec:
        """Return the input tensor at batch size ``batch`` (-1: symbolic), ``dtype`` overriding the card's."""
        shape = (batch, *self.input.shape)
        return TensorSpec(self.input.name, dtype or self.input.dtype, shape, self.input.layout)

    def labels(self) -> List[str]:
        """Return the class names of models/labels, in class order; empty where the annotation brings its own."""
        if not self.dataset.labels:
            return []
        path = CARDS / "labels" / f"{self.dataset.labels}.txt"
        if not path.is_file():
            raise RequestError(f"dataset.labels names {path.name}, which is not in {path.parent}", self.path)
        lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line]

    def resolve(self, path: str) -> Path:
        """Return a path of the card: as it is if absolute, else below the project's folder."""
        return Path(path) if Path(path).is_absolute() else ROOT / path


def available() -> List[str]:
    """Return the names of the cards in models/, sorted."""
    return sorted(path.stem for path in CARDS.glob("*.toml"))


def load(model: str, overrides: Sequence[str] = ()) -> Card:
    """Load a card by name (a file of models/) or by path, apply overrides and validate it.

    Args:
        model: ``3d_resnet`` or ``path/to/card.toml``.
        overrides: ``section.key=value`` strings, the value in TOML notation or a bare string.

    Raises:
        RequestError: no such card, malformed TOML, an unknown key, a wrong type or an impossible value.
    """
    path = Path(model) if model.endswith(".toml") else CARDS / f"{model}.toml"
    if not path.is_file():
        raise RequestError(f"no model card called {model!r}", path.parent, f"choose one of: {', '.join(available())}")
    data = _parse(path.read_text(encoding="utf-8"), path)
    for key in ("name", "path"):
        if key in data:
            raise RequestError(f"key {key!r} is derived from the file name and may not be written", path)
    for override in overrides:
        _override(data, override)
    card = from_dict(Card, {**data, "name": path.stem, "path": str(path)}, path)
    _check(card)
    return card


def _parse(text: str, where: object) -> Dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError:
            raise RequestError("Python before 3.11 reads cards with tomli", where, "pip install tomli") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RequestError(f"is not TOML ({error})", where) from None


def _override(data: Dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (equals and dot and section and name):
        raise RequestError(f"{override!r} is not section.key=value", "--set", "for example --set model.depth=18")
    try:
        value = _parse(f"value = {text.strip()}", "--set")["value"]
    except RequestError:
        value = text.strip()
    table = data.setdefault(section, {})
    if not isinstance(table, dict):
        raise RequestError(f"{section!r} is not a section of the card", "--set")
    table[name] = value


def _check(card: Card) -> None:
    for key, choices in _CHOICES.items():
        section, name = key.split(".")
        value = getattr(getattr(card, section), name)
        if value not in choices:
            raise RequestError(f"{key} is {value!r}, expected one of: {', '.join(choices)}", card.path)
    positive = {
        "model.classes": card.model.classes,
        "input.batch": card.input.batch,
        "clips.frames": card.clips.frames,
        "clips.stride": card.clips.stride,
        "transform.resize": card.transform.resize,
        "transform.size": card.transform.size,
    }
    for key, value in positive.items():
        if value < 1:
            raise RequestError(f"{key} is {value}, expected 1 or more", card.path)
    if not is_plain_name(card.dataset.name):
        raise RequestError(f"dataset.name is {card.dataset.name!r}, expected a plain name", card.path)
    _check_shapes(card)


def _check_shapes(card: Card) -> None:
    transform, layout = card.transform, card.input.layout
    if sorted(layout) != sorted("NCTHW") or not layout.startswith("N"):
        raise RequestError(f"input.layout is {layout!r}, expected N then C, T, H, W in any order", card.path)
    expected = {"C": len(transform.mean), "T": card.clips.frames, "H": transform.size, "W": transform.size}
    shape = tuple(expected[axis] for axis in layout[1:])
    if shape != card.input.shape:
        raise RequestError(
            f"input.shape is {list(card.input.shape)}, but clips and transform give {list(shape)} in layout {layout}",
            card.path,
        )
    if len(transform.mean) != 3 or len(transform.std) != 3 or 0 in transform.std or transform.scale == 0:
        raise RequestError("transform.mean and transform.std take 3 numbers, std and scale not 0", card.path)
    if transform.size > transform.resize:
        raise RequestError(
            f"transform.size {transform.size} is larger than transform.resize {transform.resize}", card.path
        )
