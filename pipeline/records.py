"""Sidecars that travel with a graph, a compiled model and the scores of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional, Tuple, Type, TypeVar

from clip2om.pipeline.artifact import PathLike, digest_of, read_json, write_json
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.tensor import TensorSpec
from clip2om.pipeline.typed import Distinct, FileName, Rule, from_dict, to_dict

VERSION = 1
T = TypeVar("T")


@dataclass(frozen=True)
class Parity:
    """How far two executions of one network are apart on the same input.

    Attributes:
        reference: What was compared with, for example ``pytorch eager``.
        max_abs_diff: Largest absolute difference of the logits.
        max_abs: Largest absolute logit of the reference.
        cosine: Cosine of the two flattened outputs.
        clips: Clips compared.
        dead: The reference gives the same for all of them, so that the comparison says nothing.
    """

    reference: str
    max_abs_diff: float
    max_abs: float
    cosine: float
    clips: int
    dead: bool = False


@dataclass(frozen=True)
class GraphRecord:
    """``graph/model.json``: what the exporter wrote and from what.

    Attributes:
        format: ``onnx``, ``pb``, ``mindir`` or ``air``.
        file: File name of the graph beside this record.
        sha256: Digest of that file.
        card: Name of the model card.
        card_digest: Digest of the card sections that the export depends on.
        transform_digest: Digest of the transform that the network was trained with, to compare with that of batches.
        labels_digest: Digest of the class names in the order of the outputs; empty where nobody has said it.
        checkpoint_sha256: Digest of the checkpoint.
        versions: Tool name to version.
        parity: Comparison with the framework, on an input other than the export's example.
        code: What was imported and run to build the network, with its version and the SHA-256 of its source.
        weights: ``raw`` or ``average``, where that was chosen of a checkpoint with both.
    """

    format: str
    file: FileName
    sha256: str
    card: str
    card_digest: str
    checkpoint: str
    checkpoint_sha256: str
    opset: int
    inputs: List[TensorSpec]
    outputs: List[TensorSpec]
    versions: Dict[str, str]
    parity: Parity
    transform_digest: str = ""
    labels_digest: str = ""
    weights: str = ""
    code: Dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Calibrated:
    """What a model was quantized with: number of clips, their subset, and the digest of the batches' manifest."""

    subset: str
    clips: int
    manifest_sha256: str


@dataclass(frozen=True)
class CompiledRecord:
    """``compiled/.../model.json``: what was compiled, for which device, and by which command.

    Attributes:
        format: ``openvino``, ``onnx``, ``mindir`` or ``om``: decides which engines can run it.
        files: File names beside this record to their SHA-256; the first one is the model.
        batch: Clips per execution; the largest gear where there are several.
        command: The command that repeats the conversion.
        precision: Precision of the computation as compiled, for example ``float32``.
        gears: The batch sizes an .om with dynamic batch was compiled for, ascending; its tensors then have batch -1.
        atc_command: What ATC itself was called with, its two paths reduced to file names; empty for other compilers.
        calibration: The clips that gave the value ranges of an int8 model.
    """

    format: str
    files: Dict[FileName, str]
    card: str
    soc: str
    batch: int
    precision: str
    command: str
    tool: str
    graph_sha256: str
    inputs: List[TensorSpec]
    outputs: List[TensorSpec]
    gears: Tuple[int, ...] = ()
    atc_command: str = ""
    transform_digest: str = ""
    host: Dict[str, Any] = field(default_factory=dict)
    calibration: Optional[Calibrated] = None
    labels_digest: str = ""

    @property
    def file(self) -> str:
        """Name of the model file itself."""
        return next(iter(self.files))

    @property
    def sha256(self) -> str:
        """Digest of the whole model: of its only file, or of the list where weights lie apart (IR: .xml and .bin)."""
        return digest_of(self.files) if len(self.files) > 1 else self.files[self.file]


@dataclass(frozen=True)
class Latency:
    """Milliseconds per batch, from submission to completion on the device; ``count`` batches behind the figures."""

    count: int
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    p95_ms: Optional[float] = None


@dataclass(frozen=True)
class Rate:
    """Clips, videos, frames and slots per second over ``seconds``; clips exclude padding, slots include it."""

    seconds: float
    clips_per_s: float
    videos_per_s: float
    frames_per_s: float
    slots_per_s: float


@dataclass(frozen=True)
class DeviceCompute:
    """The execution on the device alone: no copies, no waiting, no files; what ais_bench calls NPU_compute_time.

    Attributes:
        source: Who took the time: ``events`` of the device, ``ais_bench`` or ``msame``.
        batch: Milliseconds per batch.
        slots_per_s: 1000 * batch / mean milliseconds, summed over devices: the formula behind published figures. It
            counts padding, and leaves out everything but the execution.
        clips_per_item: Clips in one item of the batch. Tools count items, so their figure is slots_per_s divided by it.
        copy_in: Milliseconds of each copy to the device, by its own events; ``copy_out`` back from it.
    """

    source: str
    batch: Latency
    slots_per_s: float
    clips_per_item: int = 1
    copy_in: Optional[Latency] = None
    copy_out: Optional[Latency] = None

    @property
    def items_per_s(self) -> float:
        """Items per second: the figure of the tools."""
        return self.slots_per_s / self.clips_per_item


@dataclass(frozen=True)
class Throughput:
    """What was counted, and the same rates over two named intervals.

    Attributes:
        compute: Time during which at least one batch was on the device.
        wall: First read to last write, warm-up and model loading apart, unless ``wall_covers`` says otherwise.
        warmup_batches: Batches run before the clock started.
        warmup_s: Seconds they took.
        resumed_batches: Batches of an earlier run that were kept and are in none of the rates.
        device_compute: What the device itself measured; None where it cannot tell.
    """

    batches: int
    clips: int
    videos: int
    frames: int
    padded_slots: int
    compute: Rate
    wall: Rate
    latency: Latency
    warmup_batches: int
    warmup_s: float
    resumed_batches: int = 0
    loops: int = 1
    device_compute: Optional[DeviceCompute] = None
    wall_covers: str = "first read to last write"


@dataclass(frozen=True)
class ScoreFile:
    """One result file: output ``index`` of the batch file ``source``."""

    name: FileName
    source: FileName
    index: int
    sha256: str


def _name(file: ScoreFile) -> str:
    return file.name


def _is_named_after_source(file: ScoreFile) -> bool:
    """True for the name that :class:`infer.scores.ScoreFolder` gives: no result may be taken for another batch's."""
    return Path(file.name).stem == f"{Path(file.source).stem}_{file.index}"


@dataclass(frozen=True)
class Summary:
    """``summary.json`` beside the score files; absent until every batch is done.

    Attributes:
        latency_ms: Milliseconds per batch, in the order in which the batches were done.
        start_ms: When each of them was submitted, in milliseconds after the first read; empty where that is not known.
        observed: By device, what was seen while it worked: its memory in bytes, its power in watts.
    """

    engine: str
    engine_version: str
    device: str
    precision: str
    card: str
    soc: str
    model_sha256: str
    manifest: str
    manifest_sha256: str
    fingerprint: str
    outputs: List[TensorSpec]
    files: Annotated[
        List[Annotated[ScoreFile, Rule(_is_named_after_source, "a result named after its batch and output")]],
        Distinct(_name, "name"),
    ]
    throughput: Optional[Throughput]
    latency_ms: List[float] = field(default_factory=list)
    start_ms: List[float] = field(default_factory=list)
    options: Dict[str, Any] = field(default_factory=dict)
    host: Dict[str, Any] = field(default_factory=dict)
    observed: Dict[str, Any] = field(default_factory=dict)
    labels_digest: str = ""


_KINDS = {GraphRecord: "graph", CompiledRecord: "compiled", Summary: "scores"}


def write_record(path: PathLike, record: object) -> None:
    """Write a graph, compiled or scores record, whole or not at all."""
    write_json(path, _KINDS[type(record)], VERSION, to_dict(record))


def read_record(path: PathLike, cls: Type[T], todo: str) -> T:
    """Read a record of class ``cls``.

    Raises:
        RequestError: missing file, another kind of file, another format version; ends with ``todo``.
    """
    return from_dict(cls, read_json(path, _KINDS[cls], VERSION, todo), path)


def find_record(path: PathLike, cls: Type[T]) -> Optional[T]:
    """Return the record at ``path``, or None where there is none or it is not readable as ``cls``."""
    try:
        return read_record(path, cls, "") if Path(path).is_file() else None
    except RequestError:
        return None
