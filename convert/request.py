"""What one conversion was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

from clip2om.convert.atc_options import AtcOptions, kept_outputs
from clip2om.convert.calibration import Calibration
from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.records import GraphRecord, read_record
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec

RECORD = "model.json"
STEM = "model"


@dataclass(frozen=True)
class ConvertRequest:
    """One conversion.

    Attributes:
        graph: The graph file, whose digest was compared with its record's.
        record: What the exporter wrote about it.
        soc: Device to compile for.
        batch: Clips per execution; the largest gear where there are several.
        gears: Batch sizes of one .om with dynamic batch, ascending; empty for a fixed batch.
        atc: How to call ATC; None where something else compiles.
        calibration: Clips to quantize with; None for a model in the graph's own precision.
        labels_digest: Of the class names in the order of the outputs: the graph's, else the card's.
    """

    graph: Path
    record: GraphRecord
    soc: str
    batch: int
    gears: Tuple[int, ...] = ()
    atc: Optional[AtcOptions] = None
    calibration: Optional[Calibration] = None
    labels_digest: str = ""

    @property
    def inputs(self) -> List[TensorSpec]:
        """The compiled model's inputs; their batch is -1 where there are gears."""
        return [spec.with_batch(self._extent) for spec in self.record.inputs]

    @property
    def outputs(self) -> List[TensorSpec]:
        """The compiled model's outputs, those kept by --out-nodes in its order."""
        kept = kept_outputs(self.atc, self.record) if self.atc else self.record.outputs
        return [spec.with_batch(self._extent) for spec in kept]

    @property
    def _extent(self) -> int:
        return DYNAMIC if self.gears else self.batch

    @property
    def graph_batch(self) -> int:
        """Batch size of the graph, -1 if it is symbolic."""
        return self.record.inputs[0].batch


def read_graph(card: Card, folder: Path) -> Tuple[Path, GraphRecord]:
    """Return the graph file in ``folder`` and its record.

    Raises:
        RequestError: no graph, a graph of another card, or a file that is not the one its record describes.
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
    if not graph.is_file():
        raise RequestError("no such file, though its record is there", graph, todo)
    found = sha256_file(graph)
    if found != record.sha256:
        raise RequestError(
            f"has SHA-256 {found[:12]}..., its record says {record.sha256[:12]}...", graph, "export it again"
        )
    return graph, record


def cpu_request(card: Card, graph: Path, record: GraphRecord, soc: str, batch: Optional[int]) -> ConvertRequest:
    """Return the conversion for the CPU, its batch size settled: as asked, else the graph's, else the card's."""
    chosen = batch or _default_batch(card, record)
    return ConvertRequest(graph, record, soc, chosen, labels_digest=_labels_of(card, graph, record))


def atc_request(
    card: Card,
    graph: Path,
    record: GraphRecord,
    soc: str,
    batch: Optional[int],
    gears: Tuple[int, ...],
    options: AtcOptions,
) -> ConvertRequest:
    """Return the conversion with ATC, for one batch size or for ``gears``.

    Raises:
        RequestError: the graph has a fixed batch size other than the one asked for, or gears were asked of it;
            --out-nodes names an unknown output.
    """
    chosen = gears[-1] if gears else batch or _default_batch(card, record)
    request = ConvertRequest(graph, record, soc, chosen, gears, options, labels_digest=_labels_of(card, graph, record))
    kept_outputs(options, record)
    fixed = {spec.name: spec.batch for spec in record.inputs if spec.batch != DYNAMIC}
    if gears and record.inputs[0].folded > 1:
        raise RequestError(
            f"takes {record.inputs[0]}: the batch sizes of --dynamic-batch would count frames",
            graph,
            "convert with --batch N, a model for each",
        )
    for name, own in fixed.items():
        if gears:
            raise RequestError(
                f"input {name!r} has the fixed batch {own}, --dynamic-batch takes a graph with an open one",
                graph,
                f"export with --dynamic-batch, or convert with --batch {own}",
            )
        if own != request.batch:
            raise RequestError(
                f"input {name!r} has the fixed batch {own}, asked for was {request.batch}",
                graph,
                f"export with --batch {request.batch} or --dynamic-batch, or convert with --batch {own}",
            )
    return request


def _labels_of(card: Card, graph: Path, record: GraphRecord) -> str:
    """Return the digest of the model's class names.

    Raises:
        RequestError: the graph was exported for other names, or for another order of them, than the card has.
    """
    own = card.labels_digest()
    if record.labels_digest and own and record.labels_digest != own:
        raise RequestError(
            f"was exported for another list of classes than card {card.name} has now",
            graph,
            "convert with the --set dataset.labels=NAME of the export, or export again",
        )
    return record.labels_digest or own


def _default_batch(card: Card, record: GraphRecord) -> int:
    own = record.inputs[0].batch
    return card.input.batch if own == DYNAMIC else own
