"""One run as a page needs it: its results, and the records of the stages that led to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np

from clip2om.pipeline.artifact import digest_of, read_json, sha256_file
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import FILE_NAME, Manifest, read_manifest
from clip2om.pipeline.records import CompiledRecord, GraphRecord, Summary, find_record
from clip2om.pipeline.typed import from_dict
from clip2om.postprocess import archive
from clip2om.postprocess.accuracy import VERSION, Accuracy, count
from clip2om.postprocess.metrics import best
from clip2om.postprocess.results import ACCURACY, SCORES
from clip2om.postprocess.scores import Origin, Scores, judged_by

_TODO = "run make accuracy, or python -m postprocess"
# Of accuracy.json, what the scores beside it must give again.
_COUNTED = ("video", "clip", "mean_class", "per_class")
# Softmax in float16 sums to one within a few thousandths.
_SUM_TOLERANCE = 0.01


@dataclass(frozen=True)
class Folders:
    """Where the artifacts of a run lie; one that is not there is left out of the page."""

    results: Path
    scores: Path
    compiled: Path
    graph: Path
    batches: Path


@dataclass(frozen=True)
class Note:
    """What a page leaves out and why: a key of :mod:`scripts.pages.texts` with its values."""

    key: str
    values: Dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        from clip2om.scripts.pages.texts import say

        return say(self.key, **self.values).en


@dataclass(frozen=True)
class Run:
    """Results and records of one run.

    Attributes:
        name: Folder of the results, for example ``cpu-b10``.
        means: float32 (videos, classes), the scores of each video.
        best: int (videos,), the class that the rules of the accuracy predict.
        notes: Records that are missing or belong to another run.
    """

    name: str
    folders: Folders
    scores: Scores
    accuracy: Accuracy
    means: np.ndarray
    best: np.ndarray
    summary: Optional[Summary]
    compiled: Optional[CompiledRecord]
    graph: Optional[GraphRecord]
    manifest: Optional[Manifest]
    notes: List[Note]

    @property
    def judged(self) -> np.ndarray:
        """Indices of the scored videos that are in the subset and have a label."""
        return np.flatnonzero(self.scores.counted & (self.scores.truth >= 0))

    @property
    def finite(self) -> np.ndarray:
        """Tell of each video, bool (videos,), whether its scores are numbers: the naive softmax may overflow."""
        return np.isfinite(self.means).all(axis=1)

    @property
    def probabilities(self) -> bool:
        """True where the scores of each video are shares that add up to one."""
        rows = self.means[self.finite]
        return bool((rows >= 0).all()) and bool((abs(rows.sum(axis=1) - 1) < _SUM_TOLERANCE).all())


def find_results(path: Path) -> Path:
    """Return the result folder that ``path`` is or leads to: itself, ``path/results`` or the only run below that.

    Raises:
        RequestError: no results, or those of several runs.
    """
    candidates = [path, path / "results", *sorted((path / "results").glob("*")), *sorted(path.glob("*"))]
    found = [folder for folder in candidates if (folder / ACCURACY).is_file()]
    if not found:
        raise RequestError(f"no {ACCURACY} here", path, _TODO)
    if len(found) > 1 and found[0] not in (path, path / "results"):
        names = ", ".join(sorted({folder.name for folder in found}))
        raise RequestError(f"holds the results of several runs ({names})", path, f"name one, e.g. {found[0]}")
    return found[0]


def folders_of(results: Path) -> Folders:
    """Return where the stages put what belongs to ``results``: ``<build>/results/<run>``, or ``<build>/results``."""
    nested = results.parent.name == "results"
    build, run = (results.parent.parent, results.name) if nested else (results.parent, "")
    return Folders(results, build / "scores" / run, build / "compiled" / run, build / "graph", build / "batches")


def load(folders: Folders, annotation: Optional[str] = None) -> Run:
    """Read a run.

    Args:
        folders: Its artifacts.
        annotation: Ground truth, where the accuracy was counted with another one than scores.npz has.

    Raises:
        RequestError: results are missing, are not of the same scores, or hold no scored video.
    """
    path = folders.results / ACCURACY
    accuracy = from_dict(Accuracy, read_json(path, "accuracy", VERSION, _TODO), path)
    scores = _scores(folders.results / SCORES, accuracy, annotation)
    outcome = count(scores, accuracy.rules)
    if any(getattr(outcome.accuracy, name) != getattr(accuracy, name) for name in _COUNTED):
        raise RequestError(f"is not of the scores in {SCORES} beside it", path, _TODO)
    notes: List[Note] = []
    lost = int((~np.isfinite(outcome.means)).any(axis=1).sum())
    if lost:
        notes.append(Note("not_finite", {"count": lost}))
    manifest = _manifest(folders.batches, accuracy, notes)
    summary = _summary(folders.scores, accuracy, manifest, notes)
    compiled, graph = _model(folders, accuracy, notes)
    return Run(
        name=folders.results.name,
        folders=folders,
        scores=outcome.scores,
        accuracy=accuracy,
        means=outcome.means,
        best=best(outcome.means, 1, accuracy.rules.ties)[:, 0],
        summary=summary,
        compiled=compiled,
        graph=graph,
        manifest=manifest,
        notes=notes,
    )


def _scores(path: Path, accuracy: Accuracy, annotation: Optional[str]) -> Scores:
    if not path.is_file():
        todo = "copy the scores.npz that was counted beside it, or run python -m postprocess on the score folder"
        raise RequestError("no such file", path, todo)
    scores = archive.read(path)
    if not scores.ids:
        raise RequestError("holds no scored video", path, "look at what python -m postprocess says about the scores")
    if not np.isfinite(scores.logits).all():
        raise RequestError("holds scores that are no numbers (NaN or infinite)", path, _TODO)
    mine, theirs = scores.origin, accuracy.origin
    if mine.annotation_sha256 == theirs.annotation_sha256:
        return scores
    from clip2om.postprocess.annotation import read_annotation

    if annotation is None:
        raise RequestError(f"was counted with another ground truth than {SCORES}", path, "pass --annotation-path FILE")
    return judged_by(scores, read_annotation(annotation, theirs.subset))


def _manifest(folder: Path, accuracy: Accuracy, notes: List[Note]) -> Optional[Manifest]:
    path = folder / FILE_NAME
    if not path.is_file():
        notes.append(Note("no_manifest", {"path": path.name}))
        return None
    if accuracy.origin.manifest_sha256 not in (None, sha256_file(path)):
        notes.append(Note("other_manifest"))
        return None
    try:
        return read_manifest(folder)
    except RequestError as error:
        # Results outlive the formats of what they came from.
        notes.append(Note("bad_manifest", {"why": error.what}))
        return None


def _summary(folder: Path, accuracy: Accuracy, manifest: Optional[Manifest], notes: List[Note]) -> Optional[Summary]:
    summary = find_record(folder / "summary.json", Summary)
    if summary is None:
        notes.append(Note("no_summary"))
        return None
    if not _made_by(accuracy, summary, manifest):
        notes.append(Note("other_summary"))
        return None
    return summary


def _made_by(accuracy: Accuracy, summary: Summary, manifest: Optional[Manifest]) -> bool:
    """Tell whether an accuracy was counted from the scores of a summary: by all that identifies both.

    Model and batches are not enough: another engine, another device or another precision runs them at another speed.
    """
    mine = accuracy.origin
    pairs = (
        (mine.model_sha256, summary.model_sha256),
        (mine.manifest_sha256, summary.manifest_sha256),
        (mine.engine, summary.engine),
        (mine.engine_version, summary.engine_version),
        (mine.device, summary.device),
        (mine.precision, summary.precision),
    )
    return all(one == other for one, other in pairs) and (manifest is None or _same_files(mine, summary, manifest))


def _same_files(origin: Origin, summary: Summary, manifest: Manifest) -> bool:
    """Tell whether the digest of the scores that were counted is that of the files in the summary's folder."""
    first = {file.source: file.sha256 for file in summary.files if file.index == 0}
    listed = [[file.name, first[file.name]] for file in manifest.files if file.name in first]
    return origin.scores_sha256 == digest_of(listed)


def _model(
    folders: Folders, accuracy: Accuracy, notes: List[Note]
) -> Tuple[Optional[CompiledRecord], Optional[GraphRecord]]:
    compiled = find_record(folders.compiled / "model.json", CompiledRecord)
    if compiled is None or compiled.sha256 != accuracy.origin.model_sha256:
        notes.append(Note("no_compiled" if compiled is None else "other_compiled"))
        return None, None
    graph = find_record(folders.graph / "model.json", GraphRecord)
    if graph is None or graph.sha256 != compiled.graph_sha256:
        notes.append(Note("no_graph" if graph is None else "other_graph"))
        return compiled, None
    return compiled, graph
