"""The last steps of every exporter: write the graph, compare it with its framework, write the record."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, Optional, Sequence

from clip2om.export import gate
from clip2om.export.request import RECORD, ExportRequest
from clip2om.pipeline.artifact import replacing, sha256_file
from clip2om.pipeline.facts import versions
from clip2om.pipeline.records import GraphRecord, Parity, find_record, write_record
from clip2om.pipeline.tensor import TensorSpec


def publish(
    request: ExportRequest,
    tensors: Sequence[TensorSpec],
    write: Callable[[Path], None],
    measure: Callable[[Path], Parity],
    distributions: Sequence[str],
    outputs: int = 1,
    opset: Optional[int] = None,
    code: Optional[Dict[str, str]] = None,
) -> GraphRecord:
    """Write ``model.<format>`` and, last, its record; an earlier graph stays until the new one has passed the gate.

    Args:
        request: The export.
        tensors: Inputs and, last, the outputs of the graph, as read from it.
        write: Writes the graph under the path it is given.
        measure: Says how far that graph is from the framework.
        distributions: Packages whose versions go into the record.
        outputs: How many outputs there are.
        code: What was imported for the network, with version and digest.
        opset: Of an ONNX graph, where that is not the request's.

    Raises:
        ShortfallError: the graph drifts from its framework; nothing was replaced.
    """
    graph = request.output / f"model.{request.format}"
    former = find_record(request.output / RECORD, GraphRecord)
    with replacing(graph) as temporary:
        write(temporary)
        figures = measure(temporary)
        gate.check(figures, request.max_diff, graph)
        # A record that outlived its graph would vouch for another one.
        (request.output / RECORD).unlink(missing_ok=True)
    record = GraphRecord(
        format=request.format,
        file=graph.name,
        sha256=sha256_file(graph),
        card=request.card.name,
        labels_digest=request.card.labels_digest(),
        card_digest=request.digest(),
        checkpoint=str(request.checkpoint),
        checkpoint_sha256=request.checkpoint_sha256,
        opset=(request.opset if opset is None else opset) if request.format == "onnx" else 0,
        inputs=list(tensors[:-outputs]),
        outputs=list(tensors[-outputs:]),
        versions=versions(list(distributions)),
        parity=figures,
        transform_digest=request.card.digest("transform"),
        weights=request.weights,
        code=code or {},
    )
    write_record(request.output / RECORD, record)
    _remove_former(former, graph)
    return record


def _remove_former(former: Optional[GraphRecord], graph: Path) -> None:
    """Delete the graph of an earlier export to another format; a name with a folder in it is not ours."""
    if former is not None and former.file != graph.name and Path(former.file).name == former.file:
        (graph.parent / former.file).unlink(missing_ok=True)
