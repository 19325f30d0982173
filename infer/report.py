"""The throughput block on the terminal: what summary.json says, and nothing else."""

from __future__ import annotations

from pipeline.console import Console
from pipeline.records import Rate, Throughput

_WALL = "wall: first read to last write"
_BENCHMARK_WALL = "wall: first read to last result, nothing written"
_COMPUTE = "compute: at least one batch on the device"


def show(figures: Throughput, console: Console, benchmark: bool = False) -> None:
    """Show what was counted, the rates over both intervals, and the latencies."""
    console.result(_counted(figures))
    wall, compute = figures.wall, figures.compute
    console.table(
        ["", "seconds", "clips/s", "videos/s", "frames/s", "slots/s"],
        [_row(_COMPUTE, compute), _row(_BENCHMARK_WALL if benchmark else _WALL, wall)],
    )
    latency = figures.latency
    console.table(
        [f"latency of {latency.count} batches, ms", "mean", "p50", "p90", "p99", "max"],
        [
            [
                "submission to completion",
                *(f"{value:.2f}" for value in (latency.mean_ms, latency.p50_ms, latency.p90_ms)),
                *(f"{value:.2f}" for value in (latency.p99_ms, latency.max_ms)),
            ]
        ],
    )


def _counted(figures: Throughput) -> str:
    head = f"{figures.batches} batches: {figures.clips} clips of {figures.videos} videos, {figures.frames} frames"
    loops = f" in {figures.loops} loops" if figures.loops > 1 else ""
    kept = f"; {figures.resumed_batches} batches kept from an earlier run" if figures.resumed_batches else ""
    warm = f"; warm-up: {figures.warmup_batches} batches, {figures.warmup_s:.2f} s" if figures.warmup_batches else ""
    return f"{head}{loops}, {figures.padded_slots} padded slots{kept}{warm}"


def _row(name: str, rate: Rate) -> list:
    values = (rate.clips_per_s, rate.videos_per_s, rate.frames_per_s, rate.slots_per_s)
    return [name, f"{rate.seconds:.3f}", *(f"{value:.1f}" for value in values)]
