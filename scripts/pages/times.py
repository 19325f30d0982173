"""When things happened: the batches of a run by its own clock, the stages by the times of their files."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from clip2om.pipeline.records import Summary
from clip2om.postprocess.results import ACCURACY, SCORES
from clip2om.scripts.pages.run import Run

SLICES = 200
# A pause so much longer than the usual one, in seconds and in usual pauses, parts two runs of a stage.
_PAUSE_S, _PAUSES = 60.0, 20.0


@dataclass(frozen=True)
class Lane:
    """One batch, begin and end in milliseconds; batches in one lane do not overlap."""

    batch: int
    start: float
    end: float
    lane: int


@dataclass(frozen=True)
class Slice:
    """Batches that ended within [start, end) seconds, and their mean milliseconds."""

    start: float
    end: float
    batches: int
    mean_ms: float


@dataclass(frozen=True)
class StageTimes:
    """Files of a stage: first and last time of writing, in seconds since 1970.

    Attributes:
        rate: Clips per second between the two; None where that says nothing.
    """

    stage: str
    files: int
    first: float
    last: float
    rate: Optional[float] = None


def lanes(summary: Summary) -> List[Lane]:
    """Return the batches in the order of their begin, each in the first lane that is free."""
    spans = sorted((start, start + length, n) for n, (start, length) in enumerate(_spans(summary), 1))
    free: List[float] = []
    placed = []
    for start, end, batch in spans:
        lane = next((index for index, until in enumerate(free) if until <= start), len(free))
        free[lane : lane + 1] = [end]
        placed.append(Lane(batch, start, end, lane + 1))
    return placed


def slices(summary: Summary) -> List[Slice]:
    """Return the run in :data:`SLICES` parts of equal length; a part in which no batch ended is left out."""
    spans = _spans(summary)
    width = max(start + length for start, length in spans) / SLICES
    parts: Dict[int, List[float]] = {}
    for start, length in spans:
        parts.setdefault(min(int((start + length) / width), SLICES - 1), []).append(length)
    return [
        Slice(place * width / 1000, (place + 1) * width / 1000, len(values), statistics.fmean(values))
        for place, values in sorted(parts.items())
    ]


def _spans(summary: Summary) -> List[Tuple[float, float]]:
    return list(zip(summary.start_ms, summary.latency_ms))


def stage_times(run: Run) -> List[StageTimes]:
    """Return the stages whose files are on disk, in the order of the flow."""
    folders = run.folders
    found = [
        _times("export", folders.graph, [run.graph.file] if run.graph else []),
        _prepared(run),
        _times("convert", folders.compiled, list(run.compiled.files) if run.compiled else []),
        _times("infer", folders.scores, [file.name for file in run.summary.files] if run.summary else []),
        _times("postprocess", folders.results, [SCORES, ACCURACY]),
    ]
    return [item for item in found if item]


def _times(stage: str, folder: Path, names: Sequence[str]) -> Optional[StageTimes]:
    stamps = [path.stat().st_mtime for path in (folder / name for name in names) if path.is_file()]
    return StageTimes(stage, len(stamps), min(stamps), max(stamps)) if stamps else None


def _prepared(run: Run) -> Optional[StageTimes]:
    """Return the times of the batches, with clips per second where all of them come from one go."""
    if run.manifest is None:
        return None
    files = [(run.folders.batches / file.name, file.clips) for file in run.manifest.files]
    stamps = sorted((path.stat().st_mtime, clips) for path, clips in files if path.is_file())
    if not stamps:
        return None
    first, last = stamps[0][0], stamps[-1][0]
    pauses = [after - before for (before, _), (after, _) in zip(stamps, stamps[1:])]
    several = pauses and max(pauses) > max(_PAUSE_S, _PAUSES * statistics.median(pauses))
    whole = len(stamps) == len(files) and last > first and not several
    rate = sum(clips for _, clips in stamps[1:]) / (last - first) if whole else None
    return StageTimes("preprocess", len(stamps), first, last, rate)
