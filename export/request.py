"""What one export was asked for, and whether an earlier one already did it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from export.gate import within
from pipeline.artifact import digest_of, sha256_file
from pipeline.card import ROOT, Card
from pipeline.errors import RequestError
from pipeline.records import GraphRecord, find_record
from pipeline.tensor import DYNAMIC, TensorSpec

RECORD = "model.json"
INPUT_DTYPES = ("float32", "uint8")
SECTIONS = ("model", "input", "transform", "export")


@dataclass(frozen=True)
class ExportRequest:
    """One export.

    Attributes:
        card: The model card, overrides applied.
        checkpoint: The file of trained weights, and its digest.
        output: Folder for the graph and its record.
        batch: Batch size of the graph, -1 for a symbolic one.
        input_dtype: ``float32`` (normalised values) or ``uint8`` (pixels; scale, mean and std are in the graph).
        opset: Version of the ONNX operator set.
        max_diff: Largest difference from the framework, relative to max(1, largest logit).
        reuse_dynamic: A graph with a symbolic batch that is there already will do for a fixed one.
    """

    card: Card
    checkpoint: Path
    checkpoint_sha256: str
    output: Path
    batch: int
    input_dtype: str
    opset: int
    max_diff: float
    reuse_dynamic: bool = False

    @property
    def input(self) -> TensorSpec:
        """The tensor that the graph takes."""
        return self.card.input_spec(self.batch, self.input_dtype)

    @property
    def logits(self) -> TensorSpec:
        """The tensor that the graph gives: float32 (N, classes)."""
        return TensorSpec(self.card.export.output_name, "float32", (self.batch, self.card.model.classes), "NC")

    def digest(self, batch: Optional[int] = None) -> str:
        """Return the SHA-256 of what decides the graph, apart from the weights: card sections and options.

        ``batch`` is another batch size than the request's.
        """
        options = {
            "batch": self.batch if batch is None else batch,
            "input_dtype": self.input_dtype,
            "opset": self.opset,
        }
        return digest_of({"card": self.card.digest(*SECTIONS), "options": options})


def find_current(request: ExportRequest) -> Optional[GraphRecord]:
    """Return the record of an earlier export that fulfils ``request``, or None where there is work to do."""
    record = find_record(request.output / RECORD, GraphRecord)
    accepted = {request.digest(), *([request.digest(DYNAMIC)] if request.reuse_dynamic else [])}
    if record is None or record.card_digest not in accepted:
        return None
    if record.checkpoint_sha256 != request.checkpoint_sha256 or not within(record.parity, request.max_diff):
        return None
    graph = request.output / record.file
    return record if graph.is_file() and sha256_file(graph) == record.sha256 else None


def make_request(card: Card, args: argparse.Namespace) -> ExportRequest:
    """Return the request: options first, the card where they are silent.

    Raises:
        RequestError: no checkpoint, or an input dtype that no graph takes.
    """
    dtype = args.input_dtype or card.input.dtype
    if dtype not in INPUT_DTYPES:
        raise RequestError(
            f"input dtype is {dtype!r}, a graph takes {' or '.join(INPUT_DTYPES)}",
            "--input-dtype" if args.input_dtype else card.path,
        )
    checkpoint = find_checkpoint(card, args.checkpoint)
    return ExportRequest(
        card=card,
        checkpoint=checkpoint,
        checkpoint_sha256=sha256_file(checkpoint),
        output=args.output or ROOT / "build" / card.name / "graph",
        batch=DYNAMIC if args.dynamic_batch else args.batch or card.input.batch,
        input_dtype=dtype,
        opset=args.opset or card.export.opset,
        max_diff=args.max_diff,
        reuse_dynamic=args.reuse_dynamic,
    )


def find_checkpoint(card: Card, given: Optional[Path]) -> Path:
    """Return the file of trained weights; there is no export without one.

    Raises:
        RequestError: neither option nor card names one, or there is no such file.
    """
    if given is None and not card.model.checkpoint:
        raise RequestError("model.checkpoint is empty", card.path, "give --checkpoint FILE")
    path = given or card.resolve(card.model.checkpoint)
    if not path.exists():
        raise RequestError("no such checkpoint", path, "give --checkpoint FILE" if given is None else "check the path")
    if not path.is_file():
        raise RequestError("is not a file, expected a checkpoint", path, "check --checkpoint")
    return path
