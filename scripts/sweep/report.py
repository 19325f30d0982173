"""What a sweep found: the table, sweep.json and the plot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence

from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError

if TYPE_CHECKING:
    from clip2om.pipeline.card import Card
    from clip2om.pipeline.records import Throughput

VERSION = 1
JSON, PLOT = "sweep.json", "sweep.svg"
# Throughputs this close are taken for equal: then the smaller batch is better, because its latency is.
_TIE = 0.02
_TOOLS = ("ais_bench", "msame")


@dataclass(frozen=True)
class Point:
    """One batch size.

    Attributes:
        batch: Items per execution.
        engine: What ran it, with its version.
        clips_per_s: Median over the rounds, first read to last result; for tools, which load the model in each run,
            while a batch was on the device.
        rounds: The single measurements behind it.
        p50_ms: Median latency of a batch, submission to completion, and its other percentiles: medians over the rounds.
        device_slots_per_s: As the device itself counts, without copies and waiting; None where it cannot tell.
    """

    batch: int
    engine: str
    clips_per_s: float
    rounds: List[float]
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    device_slots_per_s: Optional[float] = None

    @classmethod
    def of(cls, batch: int, engine: str, runs: Sequence[Throughput]) -> Point:
        """Return the point that ``runs`` measured."""
        rates = [_rate(run) for run in runs]
        latency = {
            name: round(median(getattr(run.latency, name) for run in runs), 4)
            for name in ("mean_ms", "p50_ms", "p90_ms", "p99_ms")
        }
        device = [run.device_compute.slots_per_s for run in runs if run.device_compute is not None]
        return cls(
            batch, engine, median(rates), rates, **latency, device_slots_per_s=median(device) if device else None
        )


@dataclass(frozen=True)
class Sweep:
    """All of it; ``failed`` maps batch sizes that could not be measured to the reason."""

    card: str
    soc: str
    precision: str
    points: List[Point]
    failed: Dict[str, str]
    best: int
    fastest: int
    host: Dict[str, Any]


def assemble(
    card: Card, target: str, precision: str, points: List[Point], failed: Dict[int, str], host: Dict[str, Any]
) -> Sweep:
    """Name the best batch size, and the one with the lowest latency."""
    reasons = {str(batch): reason for batch, reason in failed.items()}
    quickest = min(points, key=lambda point: point.p50_ms).batch
    return Sweep(card.name, target, precision, points, reasons, best(points).batch, quickest, host)


def best(points: Sequence[Point]) -> Point:
    """Return the smallest batch size whose throughput is within 2 % of the highest."""
    most = max(point.clips_per_s for point in points)
    return min((point for point in points if point.clips_per_s >= (1 - _TIE) * most), key=lambda point: point.batch)


def write(sweep: Sweep, folder: Path) -> None:
    """Write sweep.json."""
    from clip2om.pipeline.artifact import write_json
    from clip2om.pipeline.typed import to_dict

    write_json(folder / JSON, "sweep", VERSION, to_dict(sweep))


def show(sweep: Sweep, folder: Path, console: Console) -> None:
    """Show the table and name the best size."""
    device = any(point.device_slots_per_s for point in sweep.points)
    head = ["batch", "clips/s", "least to most", "p50 ms", "p90 ms", "p99 ms", "ms/clip"]
    rows = [
        [
            str(point.batch),
            f"{point.clips_per_s:.1f}",
            f"{min(point.rounds):.1f} to {max(point.rounds):.1f}",
            *(f"{value:.2f}" for value in (point.p50_ms, point.p90_ms, point.p99_ms, 1000 / point.clips_per_s)),
            *([f"{point.device_slots_per_s or 0:.1f}"] if device else []),
        ]
        for point in sweep.points
    ]
    console.table([*head, *(["device slots/s"] if device else [])], rows)
    for batch, reason in sweep.failed.items():
        console.warn(f"batch {batch}: {reason}")
    found = best(sweep.points)
    console.result(
        f"best: batch {found.batch} with {found.clips_per_s:.1f} clips/s, {found.p50_ms:.2f} ms per batch "
        f"({sweep.card} on {sweep.soc}, {found.engine}); lowest latency: batch {sweep.fastest}"
    )
    console.result(f"figures: {folder / JSON}")


def plot(sweep: Sweep, folder: Path, console: Console) -> None:
    """Draw throughput and latency over the batch size into sweep.svg; without matplotlib say how to get it."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        console.warn("matplotlib is not installed, so there is no plot: pip install -r requirements/plot.txt")
        return
    from matplotlib.figure import Figure

    from clip2om.pipeline.artifact import replacing

    batches = [point.batch for point in sweep.points]
    figure = Figure(figsize=(9, 4), layout="constrained")
    figure.suptitle(f"{sweep.card} on {sweep.soc}: {sweep.points[0].engine}, {sweep.precision}")
    left, right = figure.subplots(1, 2)
    rates = [point.clips_per_s for point in sweep.points]
    low = [point.clips_per_s - min(point.rounds) for point in sweep.points]
    high = [max(point.rounds) - point.clips_per_s for point in sweep.points]
    left.errorbar(batches, rates, yerr=[low, high], marker="o", capsize=3)
    left.axvline(sweep.best, linestyle=":", color="gray")
    left.annotate(f"best: {sweep.best}", (sweep.best, 0), xytext=(4, 4), textcoords="offset points", color="gray")
    left.set(xlabel="batch size", ylabel="clips/s", xticks=batches, ylim=(0, None))
    for name, label in (("p50_ms", "median"), ("p99_ms", "99th percentile")):
        right.plot(batches, [getattr(point, name) for point in sweep.points], marker="o", label=label)
    right.set(xlabel="batch size", ylabel="latency of a batch, ms", xticks=batches, ylim=(0, None))
    right.legend()
    with replacing(folder / PLOT) as temporary:
        figure.savefig(temporary, format="svg")
    console.result(f"plot: {folder / PLOT}")


def _rate(run: Throughput) -> float:
    tool = run.device_compute is not None and run.device_compute.source in _TOOLS
    rate = (run.compute if tool else run.wall).slots_per_s
    if rate <= 0:
        raise RequestError("the run took no measurable time", None, "pass a larger --seconds")
    return rate
