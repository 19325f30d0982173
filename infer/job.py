"""What is to be run: a compiled model, a batch folder, and proof that the one fits the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List

from clip2om.infer.groups import Group, feed_spec, make_groups
from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import FILE_NAME, Manifest, read_manifest
from clip2om.pipeline.records import CompiledRecord, read_record
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec, check_feed

RECORD = "model.json"
_CONVERT = "run python -m convert first"
_PREPROCESS = "run python -m preprocess again"


@dataclass(frozen=True)
class Job:
    """A model and the batches it is to run.

    Attributes:
        compiled: Folder of the model; ``record`` is its sidecar.
        batches: Folder of the batches; ``manifest`` is its sidecar, ``manifest_sha256`` that file's digest.
        feed: What one execution takes.
        groups: The executions, in order.
    """

    compiled: Path
    record: CompiledRecord
    batches: Path
    manifest: Manifest
    manifest_sha256: str
    feed: TensorSpec
    groups: List[Group]

    @property
    def outputs(self) -> List[TensorSpec]:
        """What one result file holds, per output: where files were joined, its share of the batch.

        Items of K clips (input layout NK...) give K rows each (output layout NKC), or one where the graph averages.
        """
        batch = self.manifest.tensor.batch
        joined = self.feed.batch != batch
        specs = self.record.outputs
        return [spec.with_batch(batch) if joined or spec.batch == DYNAMIC else spec for spec in specs]


def load_job(compiled: Path, batches: Path) -> Job:
    """Read both sidecars and check everything that can be checked without an engine.

    Raises:
        RequestError: a folder without its sidecar, model files other than their record says, batches that the model
            cannot take, batch files that are missing or of the wrong size.
    """
    record = read_model(compiled)
    manifest = read_manifest(batches)
    if not manifest.files:
        raise RequestError("holds no batches", batches / FILE_NAME, _PREPROCESS)
    (model_input,) = record.inputs
    feed = feed_spec(manifest, model_input)
    check_feed(model_input, feed, compiled / record.file, batches)
    _check_gear(record, feed.batch, compiled / record.file)
    _check_labels(record, manifest, compiled, batches)
    _check_files(batches, manifest)
    groups = make_groups(manifest, feed.batch // manifest.tensor.batch)
    if feed.batch != manifest.tensor.batch:
        _check_outputs(record, feed.batch, compiled)
    return Job(compiled, record, batches, manifest, sha256_file(batches / FILE_NAME), feed, groups)


def read_model(folder: Path) -> CompiledRecord:
    """Return the record of a compiled model, its files compared with it.

    Raises:
        RequestError: no record, a file that is missing or another one, or several inputs.
    """
    record = read_record(folder / RECORD, CompiledRecord, _CONVERT)
    if not record.files:
        raise RequestError("names no model file", folder / RECORD, _CONVERT)
    for name, digest in record.files.items():
        if not (folder / name).is_file():
            raise RequestError("no such file, though the model's record names it", folder / name, _CONVERT)
        if sha256_file(folder / name) != digest:
            raise RequestError("is not the file that the model's record describes", folder / name, "convert again")
    if len(record.inputs) != 1:
        raise RequestError(
            f"has {len(record.inputs)} inputs, batches feed one",
            folder / record.file,
            _several_inputs(record),
        )
    return record


def _several_inputs(record: CompiledRecord) -> str:
    """Return what to do about a model of several inputs: labels beside clips, or two pathways."""
    if all(len(spec.shape) >= 4 for spec in record.inputs):
        return "a graph of two pathways: cut the slow one from the fast one inside the graph, and convert that"
    return (
        "a graph that takes labels was exported with export.batch_accuracy: export without it, and let "
        "python -m postprocess --batch-accuracy N count"
    )


def _check_gear(record: CompiledRecord, batch: int, model: Path) -> None:
    if record.gears and batch not in record.gears:
        sizes = ", ".join(map(str, record.gears))
        raise RequestError(
            f"was compiled for batches of {sizes}, these hold {batch}",
            model,
            f"preprocess with --batch {record.batch}, or convert with a --dynamic-batch that lists {batch}",
        )


def _check_labels(record: CompiledRecord, manifest: Manifest, compiled: Path, batches: Path) -> None:
    """Refuse batches whose class numbers say something else than the model's: every answer would look wrong."""
    if record.labels_digest and manifest.labels_digest and record.labels_digest != manifest.labels_digest:
        raise RequestError(
            "the classes that the batches were labelled with are others than the model's, or in another order",
            f"{batches} against {compiled / record.file}",
            "preprocess with the card and the --set dataset.labels=NAME that the model was converted with",
        )


def _check_outputs(record: CompiledRecord, batch: int, folder: Path) -> None:
    """Where several files share an execution, each takes its rows of the outputs."""
    for spec in record.outputs:
        if spec.batch != batch:
            raise RequestError(
                f"gives {spec}, which cannot be shared out to {batch} single-clip files",
                folder / record.file,
                "preprocess with --layout packed",
            )


def _check_files(folder: Path, manifest: Manifest) -> None:
    for file in manifest.files:
        check_size(folder / file.name, manifest.tensor)


def check_size(path: Path, spec: TensorSpec) -> None:
    """Refuse a batch file that is missing or does not hold exactly one tensor.

    Raises:
        RequestError: naming the file, its size and the size expected, in bytes.
    """
    if not path.is_file():
        raise RequestError("no such file, though the manifest names it", path, _PREPROCESS)
    found = path.stat().st_size
    if found != spec.nbytes:
        state = "partly written" if found < spec.nbytes else "longer than one tensor"
        raise RequestError(f"has {found} bytes, {spec} takes {spec.nbytes} ({state})", path, _PREPROCESS)
