"""A network and its graph over a folder of batches: what is asked of each side, and the files they leave."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from clip2om.export import parity
from clip2om.export.checkpoint_files import CheckpointFiles
from clip2om.export.frameworks import FRAMEWORKS
from clip2om.export.request import RECORD, ExportRequest, find_checkpoint
from clip2om.pipeline.artifact import folder_lock, remove_partials, replacing, sha256_file
from clip2om.pipeline.card import Card
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import FILE_NAME, BatchFile, Manifest, read_manifest
from clip2om.pipeline.mean_volume import mean_volume_of
from clip2om.pipeline.records import GraphRecord, ScoreFile, Summary, find_record, read_record, write_record
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec, check_feed

Run = Callable[[np.ndarray], np.ndarray]
SUMMARY = "summary.json"
_PREPROCESS = "run python -m preprocess again"


@dataclass(frozen=True)
class Side:
    """One of the two executions.

    Attributes:
        name: ``framework`` or ``graph``: the folder of its scores below the output.
        engine: What computes, and ``library``, the Python module whose version that is.
        model_sha256: Digest of the file with the weights.
        request: The export that the graph came from.
        files: Batch files of one execution: several where each holds one clip and the graph takes more.
        load: Gets the exporter's module and returns what maps a batch as it lies in its files to outputs.
    """

    name: str
    folder: Path
    engine: str
    library: str
    model_sha256: str
    request: ExportRequest
    files: int
    load: Callable[[ModuleType], Run]


class Scorer:
    """Scores one folder of batches; each side gets a folder below ``output``.

    Raises:
        RequestError: there is no manifest in ``batches``, or no batch.
    """

    def __init__(self, batches: Path, output: Path, console: Console) -> None:
        self.batches, self.output, self._console = batches, output, console
        self.manifest: Manifest = read_manifest(batches)
        if not self.manifest.files:
            raise RequestError("holds no batches", batches / FILE_NAME, _PREPROCESS)
        self._sha256 = sha256_file(batches / FILE_NAME)

    def warn(self, line: str) -> None:
        """Show what the user should know."""
        self._console.warn(line)

    def is_current(self, side: Side) -> bool:
        """Return whether the side's folder holds the scores of this very model and these very batches."""
        former, wanted = find_record(side.folder / SUMMARY, Summary), self._describe(side, [], "")
        keys = ("engine", "card", "model_sha256", "manifest_sha256", "outputs", "options")
        if former is None or any(getattr(former, key) != getattr(wanted, key) for key in keys):
            return False
        paths = ((side.folder / file.name, file.sha256) for file in former.files)
        return all(path.is_file() and sha256_file(path) == digest for path, digest in paths)

    def run(self, side: Side, exporter: ModuleType) -> Summary:
        """Score every batch with one side; what an earlier run left is withdrawn first, the summary written last.

        Raises:
            RequestError: the side cannot be loaded, a batch cannot be used, or the outputs have another shape than
                they should.
        """
        with folder_lock(side.folder):
            remove_partials(side.folder)
            _withdraw(side.folder)
            network = side.load(exporter)
            version = str(getattr(sys.modules.get(side.library), "__version__", ""))
            self._console.say(f"{side.name}: {side.engine} {version}".rstrip())
            with self._console.progress(self.manifest.clips, "clips") as progress:
                files = []
                for group in _groups(self.manifest.files, side.files):
                    files += self._score(side, group, network)
                    progress.advance(sum(file.clips for file in group))
            summary = self._describe(side, files, version)
            write_record(side.folder / SUMMARY, summary)
        return summary

    def _score(self, side: Side, group: Sequence[BatchFile], network: Run) -> List[ScoreFile]:
        expected = self._output(side)
        batch = np.concatenate([self._read(file) for file in group])
        full = side.files * self.manifest.tensor.batch
        if len(batch) < full:
            batch = np.concatenate([batch, np.zeros((full - len(batch), *batch.shape[1:]), batch.dtype)])
        outputs = np.ascontiguousarray(network(batch), np.float32)
        if outputs.shape != (full, *expected.shape[1:]):
            raise RequestError(
                f"the {side.name} gives {outputs.shape} for {full} items, expected {expected}",
                side.request.card.path,
                "check export.softmax and export.average_clips, and export again",
            )
        parts = np.split(outputs, side.files)
        return [self._write(side.folder, file, rows) for file, rows in zip(group, parts)]

    def _read(self, file: BatchFile) -> np.ndarray:
        path, tensor = self.batches / file.name, self.manifest.tensor
        if not path.is_file():
            raise RequestError("no such file, though the manifest names it", path, _PREPROCESS)
        if sha256_file(path) != file.sha256:
            raise RequestError("is not the file that the manifest describes", path, _PREPROCESS)
        return np.fromfile(path, tensor.dtype).reshape(tensor.shape)

    @staticmethod
    def _write(folder: Path, file: BatchFile, rows: np.ndarray) -> ScoreFile:
        name = f"{Path(file.name).stem}_0.bin"
        with replacing(folder / name) as temporary:
            rows.tofile(temporary)
        return ScoreFile(name, file.name, 0, sha256_file(folder / name))

    def _output(self, side: Side) -> TensorSpec:
        return side.request.logits.with_batch(self.manifest.tensor.batch)

    def _describe(self, side: Side, files: List[ScoreFile], version: str) -> Summary:
        return Summary(
            engine=side.engine,
            engine_version=version,
            device="CPU",
            precision="float32",
            card=side.request.card.name,
            soc="cpu",
            model_sha256=side.model_sha256,
            manifest=str(self.batches / FILE_NAME),
            manifest_sha256=self._sha256,
            fingerprint=self.manifest.fingerprint.digest,
            outputs=[self._output(side)],
            files=files,
            throughput=None,
            options={"card": side.request.digest()},
        )


def make_sides(
    card: Card, folder: Path, checkpoint: Optional[Path], scorer: Scorer, allow_code: bool = False
) -> Tuple[Side, Side]:
    """Return the framework's side and the graph's, having checked that they belong together; no framework is loaded.

    Args:
        card: The model card.
        folder: Folder of the graph.
        checkpoint: Trained weights; None takes those the graph was made from.
        scorer: Knows the batches.
        allow_code: The code that the card names may be run.

    Raises:
        RequestError: no graph or no checkpoint there, or batches that the graph cannot take.
    """
    record = read_record(folder / RECORD, GraphRecord, "run python -m export first")
    graph = folder / record.file
    if not graph.is_file():
        raise RequestError("no such graph, though its record names it", graph, "run python -m export again")
    request = replace(_request(card, record, checkpoint, folder), allow_code=allow_code)
    tensor = scorer.manifest.tensor
    files = _files_of_one_run(scorer.manifest, record.inputs[0])
    check_feed(record.inputs[0], tensor.with_batch(tensor.batch * files), graph, scorer.batches)
    _warn(record, request, graph, scorer)
    library = FRAMEWORKS[card.model.framework].libraries[0]
    engine = (card.model.framework, library)

    def network(exporter: ModuleType) -> Run:
        run: Run = exporter.load_network(request)
        return _normalising(run, request) if tensor.dtype == "uint8" else run

    def reader(exporter: ModuleType) -> Run:
        if record.format != "onnx":
            other: Run = exporter.load_graph(graph)
            return other
        # TensorFlow's environment has no ONNX.
        from clip2om.export import onnx_graph

        return onnx_graph.load(graph)

    runtime = ("onnxruntime", "onnxruntime") if record.format == "onnx" else engine
    ours, theirs = scorer.output / "framework", scorer.output / "graph"
    return (
        Side("framework", ours, *engine, request.checkpoint_sha256, request, 1, network),
        Side("graph", theirs, *runtime, sha256_file(graph), request, files, reader),
    )


def _request(card: Card, record: GraphRecord, checkpoint: Optional[Path], folder: Path) -> ExportRequest:
    weights = _weights(card, record, checkpoint)
    return ExportRequest(
        card=card,
        checkpoint=weights.path,
        checkpoint_sha256=weights.digest(),
        output=folder,
        format=record.format,
        batch=record.inputs[0].batch,
        input_dtype=record.inputs[0].dtype,
        opset=0 if FRAMEWORKS[card.model.framework].adopts else record.opset or card.export.opset,
        max_diff=0.0,
        weights=record.weights,
    )


def _weights(card: Card, record: GraphRecord, given: Optional[Path]) -> CheckpointFiles:
    """Return the checkpoint that was given, else the one the graph was made from, else the card's."""
    if given is None:
        with contextlib.suppress(RequestError):
            return find_checkpoint(card, Path(record.checkpoint))
    return find_checkpoint(card, given)


def _warn(record: GraphRecord, request: ExportRequest, graph: Path, scorer: Scorer) -> None:
    """Say what should not be, and go on: to measure what it does is what the command is for."""
    card = request.card
    reasons: Dict[str, bool] = {
        f"{graph} is not the file that its record describes": sha256_file(graph) != record.sha256,
        f"{graph} was made from another checkpoint than {request.checkpoint}": (
            request.checkpoint_sha256 != record.checkpoint_sha256
        ),
        f"{graph} was exported with other entries of card {card.name}": request.digest() != record.card_digest,
        "model.arguments.dropout leaves dropout active in the graph: it gives other scores at every run": bool(
            card.model.arguments.get("dropout")
        ),
    }
    for reason, holds in reasons.items():
        if holds:
            scorer.warn(reason)


def _withdraw(folder: Path) -> None:
    """Delete the summary, then the files it lists; a name with a folder in it is not ours."""
    former = find_record(folder / SUMMARY, Summary)
    (folder / SUMMARY).unlink(missing_ok=True)
    for file in former.files if former else ():
        if Path(file.name).name == file.name:
            (folder / file.name).unlink(missing_ok=True)


def _normalising(run: Run, request: ExportRequest) -> Run:
    layout, transform, volume = request.card.input.layout, request.card.transform, mean_volume_of(request.card)
    return lambda pixels: run(parity.normalised(pixels, layout, transform, volume))


def _files_of_one_run(manifest: Manifest, model: TensorSpec) -> int:
    """Return how many files fill one batch of the graph: like ais_bench, single-clip files are joined."""
    joined = manifest.layout == "per-clip" and model.batch != DYNAMIC
    return model.batch if joined else 1


def _groups(files: Sequence[BatchFile], size: int) -> Iterator[Sequence[BatchFile]]:
    return (files[start : start + size] for start in range(0, len(files), size))
