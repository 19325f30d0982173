"""What one conversion was asked for, and whether an earlier one already did it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

from convert.formats import Format
from pipeline.artifact import sha256_file
from pipeline.card import Card
from pipeline.errors import RequestError
from pipeline.records import CompiledRecord, GraphRecord, find_record, read_record
from pipeline.tensor import DYNAMIC, TensorSpec

RECORD = "model.json"


@dataclass(frozen=True)
class ConvertRequest:
    """One conversion.

    Attributes:
        graph: The graph file, whose digest was compared with its record's.
        record: What the exporter wrote about it.
        soc: Device to compile for.
        batch: Clips per execution.
    """

    graph: Path
    record: GraphRecord
    soc: str
    batch: int

    @property
    def inputs(self) -> List[TensorSpec]:
        """The compiled model's inputs."""
        return [spec.with_batch(self.batch) for spec in self.record.inputs]

    @property
    def outputs(self) -> List[TensorSpec]:
        """The compiled model's outputs."""
        return [spec.with_batch(self.batch) for spec in self.record.outputs]

    @property
    def graph_batch(self) -> int:
        """Batch size of the graph, -1 if it is symbolic."""
        return self.record.inputs[0].batch


def make_request(card: Card, folder: Path, soc: str, batch: Optional[int]) -> ConvertRequest:
    """Read the graph's record and settle the batch size: as asked, else the graph's, else the card's.

    Raises:
        RequestError: no graph, a graph of another card or format, or a file that is not the one its record describes.
    """
    todo = f"run python -m export --model {card.name} first"
    record = read_record(folder / RECORD, GraphRecord, todo)
    if record.card != card.name:
        raise RequestError(
            f"is a graph of card {record.card!r}, asked for was {card.name!r}", folder, f"pass --model {record.card}"
        )
    if not record.inputs:
        raise RequestError("names no input", folder / RECORD, todo)
    graph = folder / record.file
    if record.format != "onnx":
        raise RequestError(f"is a graph of format {record.format!r}, the CPU takes onnx", graph, "export again as ONNX")
    if not graph.is_file():
        raise RequestError("no such file, though its record is there", graph, todo)
    found = sha256_file(graph)
    if found != record.sha256:
        raise RequestError(
            f"has SHA-256 {found[:12]}..., its record says {record.sha256[:12]}...", graph, "export it again"
        )
    own = record.inputs[0].batch
    return ConvertRequest(graph, record, soc, batch or (card.input.batch if own == DYNAMIC else own))


def find_current(request: ConvertRequest, chosen: Format, output: Path) -> Optional[CompiledRecord]:
    """Return the record of an earlier conversion that fulfils ``request``, or None where there is work to do.

    The converter itself is not loaded: its version is read from what is installed.
    """
    record = find_record(output / RECORD, CompiledRecord)
    if record is None or record != describe(request, chosen, record.files, record.command):
        return None
    for name, digest in record.files.items():
        if not (output / name).is_file() or sha256_file(output / name) != digest:
            return None
    return record


def describe(request: ConvertRequest, chosen: Format, files: dict, command: str) -> CompiledRecord:
    """Return the record of ``files`` (name to SHA-256, the model first) made for ``request``."""
    return CompiledRecord(
        format=chosen.name,
        files=files,
        card=request.record.card,
        soc=request.soc,
        batch=request.batch,
        precision=chosen.precision,
        command=command,
        tool=chosen.tool(),
        graph_sha256=request.record.sha256,
        inputs=request.inputs,
        outputs=request.outputs,
    )
