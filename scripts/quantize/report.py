"""What int8 costs and gains: accuracy, speed and size of two models of one graph."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from clip2om.pipeline.console import Console, size
from clip2om.pipeline.errors import RequestError

if TYPE_CHECKING:
    from clip2om.infer.job import Job
    from clip2om.pipeline.card import Card
    from clip2om.postprocess.accuracy import Accuracy
    from clip2om.scripts.quantize.places import Places

VERSION = 1
FILE_NAME = "int8.json"
# Batches that a speed measurement runs over again and again.
_MEASURED = 16


@dataclass(frozen=True)
class Side:
    """One of the two models.

    Attributes:
        accuracy: Top-1 over videos; ``hits`` of ``total``.
        clips_per_s: Median over the rounds, first read to last result; ``rounds`` are the single ones.
        p50_ms: Median latency of a batch, median over the rounds.
        bytes: Size of the model's files.
    """

    model_sha256: str
    accuracy: float
    hits: int
    total: int
    clip_accuracy: float
    clips_per_s: float
    rounds: List[float]
    p50_ms: float
    bytes: int


@dataclass(frozen=True)
class Comparison:
    """``int8.json``: both models on the same batches, on this machine."""

    card: str
    calibration_clips: int
    calibration_sha256: str
    manifest_sha256: str
    max_clips: int
    max_drop: float
    engine: str
    float32: Side
    int8: Side
    host: Dict[str, Any]

    @property
    def drop(self) -> float:
        """How much lower top-1 over videos is, counted in videos so that no rounding decides."""
        return (self.float32.hits - self.int8.hits) / self.float32.total


def compare(places: Places, model: Path, card: Card, args: argparse.Namespace, console: Console) -> Comparison:
    """Score the validation batches with both models, then measure both in turn.

    Args:
        places: All folders.
        model: Folder of the int8 model: the one in use, or the candidate.
        card: The model's card.
        args: Of scripts.quantize.
        console: Where to report.
    """
    from clip2om.infer.job import load_job
    from clip2om.pipeline.facts import host

    jobs = [load_job(folder, places.batches) for folder in (places.float32, model)]
    scores = [places.float32_scores, places.int8_scores if model == places.int8 else model / "scores"]
    figures = [_score(job, folder, card, args.max_clips, console) for job, folder in zip(jobs, scores)]
    speeds, engine = _speeds(jobs, args, console)
    sides = [_side(job, accuracy, speed) for job, accuracy, speed in zip(jobs, figures, speeds)]
    calibration = jobs[1].record.calibration
    if calibration is None:
        raise RequestError("names no calibration clips", model, "quantize again with --force")
    return Comparison(
        card=card.name,
        calibration_clips=calibration.clips,
        calibration_sha256=calibration.manifest_sha256,
        manifest_sha256=jobs[0].manifest_sha256,
        max_clips=args.max_clips,
        max_drop=args.max_accuracy_drop,
        engine=engine,
        float32=sides[0],
        int8=sides[1],
        host=host(),
    )


def is_current(places: Places, args: argparse.Namespace) -> bool:
    """True where int8.json compares the models in use, on these batches, and its drop is allowed."""
    from clip2om.pipeline.artifact import sha256_file
    from clip2om.pipeline.manifest import FILE_NAME as MANIFEST
    from clip2om.pipeline.records import CompiledRecord, find_record

    found = _find(places.int8)
    records = [find_record(folder / "model.json", CompiledRecord) for folder in (places.float32, places.int8)]
    if found is None or records[0] is None or records[1] is None:
        return False
    same = (found.float32.model_sha256, found.int8.model_sha256) == (records[0].sha256, records[1].sha256)
    judged = (found.manifest_sha256, found.max_clips) == (sha256_file(places.batches / MANIFEST), args.max_clips)
    return same and judged and found.drop <= args.max_accuracy_drop


def read(folder: Path) -> Comparison:
    """Read int8.json.

    Raises:
        RequestError: there is none, or it is of another format.
    """
    from clip2om.pipeline.artifact import read_json
    from clip2om.pipeline.typed import from_dict

    path = folder / FILE_NAME
    return from_dict(Comparison, read_json(path, "int8", VERSION, "run python -m scripts.quantize again"), path)


def write(found: Comparison, folder: Path) -> None:
    """Write int8.json beside the model."""
    from clip2om.pipeline.artifact import write_json
    from clip2om.pipeline.typed import to_dict

    write_json(folder / FILE_NAME, "int8", VERSION, to_dict(found))


def show(found: Comparison, console: Console) -> None:
    """Show both models side by side."""
    one, other = found.float32, found.int8
    faster = other.clips_per_s / one.clips_per_s
    rows = [
        [
            "top-1, videos",
            *(f"{100 * side.accuracy:.2f} %" for side in (one, other)),
            f"{0.0 - 100 * found.drop:+.2f} points",
        ],
        ["", *(f"{side.hits}/{side.total}" for side in (one, other)), f"{other.hits - one.hits:+d}"],
        [
            "top-1, clips",
            *(f"{100 * side.clip_accuracy:.2f} %" for side in (one, other)),
            f"{100 * (other.clip_accuracy - one.clip_accuracy):+.2f} points",
        ],
        ["clips/s", *(f"{side.clips_per_s:.1f}" for side in (one, other)), f"{faster:.2f} x"],
        ["p50 of a batch, ms", *(f"{side.p50_ms:.2f}" for side in (one, other)), f"{other.p50_ms / one.p50_ms:.2f} x"],
        ["model files", *(size(side.bytes) for side in (one, other)), f"{other.bytes / one.bytes:.2f} x"],
    ]
    console.table([f"{found.card}, {found.engine}", "float32", "int8", "difference"], rows)


def _find(folder: Path) -> Optional[Comparison]:
    try:
        return read(folder)
    except RequestError:
        return None


def _score(job: Job, folder: Path, card: Card, max_clips: int, console: Console) -> Accuracy:
    """Score all batches, unless that has been done, and count."""
    from clip2om.infer.run import RunOptions, find_current
    from clip2om.infer.run import run as score
    from clip2om.postprocess.accuracy import Rules, count
    from clip2om.postprocess.batches import from_manifest
    from clip2om.postprocess.reading import read_scores

    engine = _engine(job)
    if find_current(job, engine, folder, RunOptions()) is None:
        console.say(f"scoring {len(job.groups)} batches in {engine.precision}")
        score(job, engine, folder, RunOptions(), console)
    batches = from_manifest(job.batches, card)
    found = count(read_scores(batches, folder).scores, Rules(1, card.scores.activation, max_clips)).accuracy
    if found.video["top-1"].value is None:
        raise RequestError("no video has a label, so there is no accuracy to compare", job.batches)
    return found


def _engine(job: Job) -> Any:
    from clip2om.infer.engines.base import Options
    from clip2om.infer.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(job.compiled, job.record, Options())


def _speeds(
    jobs: List[Job], args: argparse.Namespace, console: Console
) -> Tuple[List[Tuple[List[float], List[float]]], str]:
    """Measure both models in turn; return the rates and median latencies of each, and the engine."""
    from clip2om.infer.engines.base import Options
    from clip2om.scripts.shared.measuring import loops_for, measure

    some = [replace(job, groups=job.groups[:_MEASURED]) for job in jobs]
    console.say("measuring both in turn")
    found: List[Tuple[List[float], List[float]]] = [([], []), ([], [])]
    with TemporaryDirectory() as folder:
        firsts = [measure("openvino", job, Options(), Path(folder), 1) for job in some]
        loops = [loops_for(args.seconds, figures) for figures, _ in firsts]
        for _ in range(args.rounds):
            for (rates, latencies), job, count in zip(found, some, loops):
                figures, _ = measure("openvino", job, Options(), Path(folder), count)
                rates.append(figures.wall.clips_per_s)
                latencies.append(figures.latency.p50_ms)
    return found, firsts[0][1]


def _side(job: Job, accuracy: Accuracy, speed: Tuple[List[float], List[float]]) -> Side:
    top, clips = accuracy.video["top-1"], accuracy.clip["top-1"]
    rates, latencies = speed
    return Side(
        model_sha256=job.record.sha256,
        accuracy=float(top.value or 0.0),
        hits=top.hits,
        total=top.total,
        clip_accuracy=float(clips.value or 0.0),
        clips_per_s=median(rates),
        rounds=rates,
        p50_ms=median(latencies),
        bytes=sum((job.compiled / name).stat().st_size for name in job.record.files),
    )
