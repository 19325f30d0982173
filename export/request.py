"""What one export was asked for, and whether an earlier one already did it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence

from clip2om.export.checkpoint_files import CheckpointFiles, exists, one_file, tensorflow_files
from clip2om.export.code import code_digest, names_code
from clip2om.export.frameworks import FRAMEWORKS
from clip2om.export.gate import within
from clip2om.pipeline.artifact import digest_of, sha256_file
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.foreign_graphs import foreign_graph
from clip2om.pipeline.places import build_folder
from clip2om.pipeline.records import GraphRecord, find_record
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec

RECORD = "model.json"
INPUT_DTYPES = ("float32", "uint8")
SECTIONS = ("model", "input", "transform", "export")


@dataclass(frozen=True)
class ExportRequest:
    """One export.

    Attributes:
        card: The model card, overrides applied.
        checkpoint: The file of trained weights, for TensorFlow the prefix of its files, and their digest.
        output: Folder for the graph and its record.
        format: What to write: ``onnx``, ``pb``, ``mindir`` or ``air``.
        batch: Batch size of the graph, -1 for a symbolic one.
        input_dtype: ``float32`` (normalised values) or ``uint8`` (pixels; scale, mean and std are in the graph).
        opset: Version of the ONNX operator set; 0 takes that of a graph that is there already.
        max_diff: Largest difference from the framework, relative to max(1, largest logit).
        reuse_dynamic: A graph with a symbolic batch that is there already will do for a fixed one.
        allow_code: The code that the card names may be run.
        weights: ``raw`` or ``average``, where a checkpoint holds both; empty takes what the file has as its weights.
    """

    card: Card
    checkpoint: Path
    checkpoint_sha256: str
    output: Path
    format: str
    batch: int
    input_dtype: str
    opset: int
    max_diff: float
    reuse_dynamic: bool = False
    weights: str = ""
    allow_code: bool = False

    @property
    def average(self) -> Optional[bool]:
        """Whether the averages over training steps are wanted; None takes what the file has as its weights."""
        return None if not self.weights else self.weights == "average"

    @property
    def input(self) -> TensorSpec:
        """The tensor that the graph takes."""
        return self.card.input_spec(self.batch, self.input_dtype)

    @property
    def logits(self) -> TensorSpec:
        """The tensor that the graph gives: float32 (N, classes), or (N, K, classes) with a row for each clip."""
        name, classes = self.card.export.output_name, self.card.model.classes
        if self.card.scores.rows == "frame":
            # A row for each frame: their mean is left to postprocess.
            one = TensorSpec(name, "float32", (self.input.folded, classes), "NC", self.input.frames, self.input.views)
            return one.with_batch(self.batch)
        if self.input.views > 1 and not self.card.export.average_clips:
            views = self.input.views
            return TensorSpec(name, "float32", (views, classes), "NC", 1, views).with_batch(self.batch)
        if "K" in self.card.input.layout and not self.card.export.average_clips:
            return TensorSpec(name, "float32", (self.batch, self.input.clips_per_item, classes), "NKC")
        return TensorSpec(name, "float32", (self.batch, classes), "NC")

    def digest(self, batch: Optional[int] = None) -> str:
        """Return the SHA-256 of what decides the graph, apart from the weights: card sections and options.

        ``batch`` is another batch size than the request's.
        """
        options = {
            "batch": self.batch if batch is None else batch,
            "input_dtype": self.input_dtype,
            "opset": self.opset,
            "format": self.format,
            **({"weights": self.weights} if self.weights else {}),
            **({"code": code_digest(self.card)} if names_code(self.card) else {}),
        }
        return digest_of({"card": self.card.digest(*SECTIONS), "options": options})


def find_current(request: ExportRequest) -> Optional[GraphRecord]:
    """Return the record of an earlier export that fulfils ``request``, or None where there is work to do.

    Where the request has no digest of weights, those of the earlier export are taken.
    """
    record = find_record(request.output / RECORD, GraphRecord)
    accepted = {request.digest(), *([request.digest(DYNAMIC)] if request.reuse_dynamic else [])}
    if record is None or record.card_digest not in accepted:
        return None
    if request.checkpoint_sha256 not in ("", record.checkpoint_sha256) or not within(record.parity, request.max_diff):
        return None
    graph = request.output / record.file
    return record if graph.is_file() and sha256_file(graph) == record.sha256 else None


def make_request(card: Card, args: argparse.Namespace, formats: Sequence[str]) -> ExportRequest:
    """Return the request: options first, the card where they are silent, then the first of the framework's ``formats``.

    Raises:
        RequestError: no checkpoint, a format that the framework does not export to, or an input dtype that no graph
            takes.
    """
    chosen = args.format or card.export.format or formats[0]
    if chosen not in formats:
        raise RequestError(
            f"format is {chosen!r}, {card.model.framework} checkpoints are exported to {' or '.join(formats)}",
            "--format" if args.format else f"{card.path}: export.format",
        )
    dtype = args.input_dtype or card.input.dtype
    if dtype not in INPUT_DTYPES:
        raise RequestError(
            f"input dtype is {dtype!r}, a graph takes {' or '.join(INPUT_DTYPES)}",
            "--input-dtype" if args.input_dtype else card.path,
        )
    if args.keep:
        checkpoint, digest = args.checkpoint or card.resolve(card.model.checkpoint), ""
    else:
        files = find_checkpoint(card, args.checkpoint)
        checkpoint, digest = files.path, files.digest()
    return ExportRequest(
        card=card,
        checkpoint=checkpoint,
        checkpoint_sha256=digest,
        output=args.output or build_folder(card.name) / "graph",
        format=chosen,
        batch=DYNAMIC if args.dynamic_batch else args.batch or card.input.batch,
        input_dtype=dtype,
        opset=args.opset or (0 if FRAMEWORKS[card.model.framework].adopts else card.export.opset),
        max_diff=args.max_diff,
        reuse_dynamic=args.reuse_dynamic,
        weights=args.weights or "",
        allow_code=args.allow_code,
    )


def find_checkpoint(card: Card, given: Optional[Path]) -> CheckpointFiles:
    """Return the files of trained weights; there is no export without them.

    Raises:
        RequestError: neither option nor card names one, there is no such file, or a part of it is missing.
    """
    if given is None and not card.model.checkpoint and FRAMEWORKS[card.model.framework].adopts:
        raise RequestError("model.checkpoint is empty", card.path, "give --graph-file FILE")
    if given is None and not card.model.checkpoint:
        raise RequestError("model.checkpoint is empty", card.path, "give --checkpoint FILE")
    path = given or card.resolve(card.model.checkpoint)
    if not exists(path):
        raise RequestError("no such checkpoint", path, "give --checkpoint FILE" if given is None else "check the path")
    if FRAMEWORKS[card.model.framework].adopts:
        foreign = foreign_graph(path)
        if foreign:
            raise RequestError(f"{foreign[0]}, expected ONNX", path, foreign[1])
    return tensorflow_files(path) if card.model.framework == "tensorflow" else one_file(path)
