"""Three folders of scores of the same batches: how far each is from the next, against limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

import numpy as np

from clip2om.pipeline.artifact import clean_folder, json_text, sha256_file, write_if_changed
from clip2om.pipeline.console import Console
from clip2om.pipeline.dead import WORDS, is_dead
from clip2om.pipeline.errors import RequestError, ShortfallError
from clip2om.pipeline.manifest import FILE_NAME, Manifest, read_manifest
from clip2om.pipeline.records import Summary, read_record
from clip2om.pipeline.typed import to_dict

VERSION = 1
SUMMARY = "summary.json"
_ADVICE = {
    ("framework", "graph"): "export again; the export's own check compares the same two on other clips",
    ("graph", "compiled"): "make drift names the layer; or compile with another precision",
}


@dataclass(frozen=True)
class Limits:
    """How far two executions may be apart.

    Attributes:
        max_diff: Largest difference of two outputs, relative to max(1, largest output).
        min_cosine: Cosine of all outputs.
        min_top1: Share of rows with the same best class: less than all, because two classes may be as good as equal.
    """

    max_diff: float
    min_cosine: float
    min_top1: float


# Chosen by this project; the cosine and the agreement of half precision are those of the NPU self-test.
EXACT = Limits(1e-4, 0.9999, 0.95)
HALF = Limits(0.05, 0.999, 0.95)
INT8 = Limits(0.3, 0.98, 0.9)


@dataclass(frozen=True)
class Wanted:
    """Limits that the user chose; None leaves the default."""

    max_diff: Optional[float] = None
    min_cosine: Optional[float] = None
    min_top1: Optional[float] = None


@dataclass(frozen=True)
class Side:
    """One execution: who computed what, with the digests of its model, its batches and its summary."""

    name: str
    engine: str
    engine_version: str
    device: str
    soc: str
    precision: str
    model_sha256: str
    manifest_sha256: str
    summary_sha256: str
    folder: str

    @property
    def title(self) -> str:
        """The side in a few words."""
        return f"{self.engine} {self.engine_version} on {self.device}, {self.precision}"


@dataclass(frozen=True)
class Step:
    """Two executions compared row by row.

    Attributes:
        max_abs_diff: Largest absolute difference of two outputs.
        max_abs: Largest absolute output of ``left``.
        relative: The one over the other.
        top1_agree: Rows with the same best class, of ``rows``.
        worst: Row with the largest difference: video, and first and last frame of the clip.
        limits: What was asked for, None where the step is not judged.
    """

    left: str
    right: str
    max_abs_diff: float
    max_abs: float
    relative: float
    cosine: float
    top1_agree: int
    rows: int
    worst: Tuple[str, int, int]
    limits: Optional[Limits]
    passed: bool

    @property
    def name(self) -> str:
        """Which way it goes: framework -> graph."""
        return f"{self.left} -> {self.right}"

    def complaint(self) -> str:
        """Return both figures, found and asked for, of a step beyond its limits."""
        asked = self.limits or EXACT
        return (
            f"{self.name} differ by {self.max_abs_diff:.3g} (largest output {self.max_abs:.3g}), cosine "
            f"{self.cosine:.6f}, top-1 agrees on {self.top1_agree} of {self.rows}; allowed are {asked.max_diff:g} x "
            f"max(1, largest output), cosine {asked.min_cosine}, top-1 {asked.min_top1:.0%}"
        )

    def todo(self) -> str:
        """Return what can be done about it."""
        return _ADVICE.get((self.left, self.right), "compare each step")


@dataclass(frozen=True)
class Report:
    """``parity.json``: what was compared, on which clips, and how it came out."""

    card: str
    clips: int
    videos: int
    classes: int
    manifest_sha256: str
    sides: List[Side]
    steps: List[Step]
    passed: bool
    rows: str
    dead: bool = False


def read_side(name: str, folder: Path) -> Side:
    """Read who wrote a folder of scores.

    Raises:
        RequestError: there is no summary.
    """
    summary = _summary(folder)
    return Side(
        name,
        summary.engine,
        summary.engine_version,
        summary.device,
        summary.soc,
        summary.precision,
        summary.model_sha256,
        summary.manifest_sha256,
        sha256_file(folder / SUMMARY),
        str(folder),
    )


def compare(card: str, batches: Path, sides: List[Side], wanted: Wanted) -> Report:
    """Compare each side with the next, and the first with the last.

    Raises:
        RequestError: scores of other batches, files that were changed, or outputs of different shapes.
        ShortfallError: outputs that are not finite.
    """
    manifest = read_manifest(batches)
    digest = sha256_file(batches / FILE_NAME)
    for side in sides:
        if side.manifest_sha256 != digest:
            raise RequestError("scores other batches", side.folder, "run without --keep-reference, or copy all of it")
    names, every = _rows(manifest, sides)
    first, second, third = every
    chain = [
        _step(sides[0], sides[1], first, second, names, limits_for("float32", wanted)),
        _step(sides[1], sides[2], second, third, names, limits_for(sides[2].precision, wanted)),
        _step(sides[0], sides[2], first, third, names, None),
    ]
    return Report(
        card=card,
        clips=manifest.clips,
        videos=len(manifest.videos),
        classes=first.shape[1],
        manifest_sha256=digest,
        sides=sides,
        steps=chain,
        passed=all(step.passed for step in chain),
        rows="clips" if len(first) == manifest.clips else "videos",
        dead=is_dead(first),
    )


def limits_for(precision: str, wanted: Wanted) -> Limits:
    """Return the limits for a computation in ``precision``, as a record names it."""
    exact = precision in ("float32", "f32")
    default = EXACT if exact else INT8 if "int8" in precision else HALF
    chosen = {key: value for key, value in vars(wanted).items() if value is not None}
    return Limits(**{**vars(default), **chosen})


def write(path: Path, report: Report) -> None:
    """Write the report, unless it is there already."""
    with clean_folder(path.parent):
        write_if_changed(path, json_text("parity", VERSION, to_dict(report)).encode("utf-8"))


def show(report: Report, console: Console) -> None:
    """Print who was compared, and the comparison as a table."""
    console.result(
        f"{report.clips} clips of {report.videos} videos, {report.classes} classes, row by row ({report.rows})"
    )
    for side in report.sides:
        console.result(f"{side.name:9}  {side.title}")
    console.result()
    head = ["", "largest difference", "of largest output", "allowed", "cosine", "top-1 agrees", "worst"]
    console.table(head, [_cells(step) for step in report.steps])
    console.result()
    if report.dead:
        console.warn(WORDS)
    if report.passed:
        console.result("PASSED: framework, graph and compiled model agree")
    else:
        missed = [step.name for step in report.steps if not step.passed]
        console.result(f"DIFFERS: {', '.join(missed)}")


def _cells(step: Step) -> List[str]:
    video, first, last = step.worst
    return [
        step.name,
        f"{step.max_abs_diff:.3g}",
        f"{step.relative:.3g}",
        f"{step.limits.max_diff:g}" if step.limits else "-",
        f"{step.cosine:.9f}",
        f"{step.top1_agree}/{step.rows}",
        f"{video} {first}-{last}",
    ]


def _step(left: Side, right: Side, ours: np.ndarray, theirs: np.ndarray, names: List, limits: Optional[Limits]) -> Step:
    """Compare float64 (rows, classes) with float64 (rows, classes)."""
    diffs = np.abs(ours - theirs)
    diff, largest = float(diffs.max()), float(np.abs(ours).max())
    norms = float(np.linalg.norm(ours) * np.linalg.norm(theirs))
    cosine = min(1.0, float(np.vdot(ours, theirs)) / norms) if norms else float(diff == 0)
    agree = int((ours.argmax(axis=1) == theirs.argmax(axis=1)).sum())
    passed = limits is None or (
        diff <= limits.max_diff * max(1.0, largest)
        and cosine >= limits.min_cosine
        and agree >= limits.min_top1 * len(ours)
    )
    return Step(
        left=left.name,
        right=right.name,
        max_abs_diff=diff,
        max_abs=largest,
        relative=diff / largest if largest else 0.0,
        cosine=cosine,
        top1_agree=agree,
        rows=len(ours),
        worst=names[int(diffs.max(axis=1).argmax())],
        limits=limits,
        passed=bool(passed),
    )


def _rows(manifest: Manifest, sides: List[Side]) -> Tuple[List[Tuple[str, int, int]], List[np.ndarray]]:
    """Return for every row its video and frames, and each side's rows, float64 (rows, classes), in the same order."""
    raw = [_read(Path(side.folder), manifest) for side in sides]
    shapes = {array.shape[1:] for array in raw}
    if len(shapes) > 1:
        found = ", ".join(f"{side.name} {array.shape[1:]}" for side, array in zip(sides, raw))
        raise RequestError(f"the outputs of one file have different shapes: {found}", None, "export and convert again")
    per_row = manifest.tensor.clips // raw[0].shape[1]
    chosen, names = [], []
    for video in manifest.videos:
        for clip in video.slots():
            # Where a row is the mean over an item's clips, the item's first clip stands for it.
            if clip.slot % per_row == 0:
                chosen.append((clip.file, clip.slot // per_row))
                last = clip.last if per_row == 1 else max(other.last for other in video.slots())
                names.append((video.id, clip.first, last))
    files, rows = (list(column) for column in zip(*chosen))
    every = [array[files, rows] for array in raw]
    for side, array in zip(sides, every):
        bad = int((~np.isfinite(array)).any(axis=1).sum())
        if bad:
            raise ShortfallError(
                f"{side.name} gives NaN or infinite outputs in {bad} of {len(array)} rows", side.folder
            )
    return names, every


def _read(folder: Path, manifest: Manifest) -> np.ndarray:
    """Return output 0 of every batch file, float64 (files, rows, classes), padding included."""
    summary = _summary(folder)
    spec = summary.outputs[0]
    found = {file.source: file for file in summary.files if file.index == 0}
    arrays = []
    for file in manifest.files:
        score = found.get(file.name)
        path = folder / (score.name if score else f"{Path(file.name).stem}_0.bin")
        if score is None or not path.is_file() or sha256_file(path) != score.sha256:
            raise RequestError("is missing or was changed since it was written", path, "run again with --force")
        arrays.append(np.fromfile(path, spec.dtype).reshape(-1, spec.shape[-1]))
    return np.stack(arrays).astype(np.float64)


def _summary(folder: Path) -> Summary:
    return read_record(folder / SUMMARY, Summary, "run without --keep-reference")
