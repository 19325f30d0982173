"""The throughput block on the terminal: what summary.json says, and nothing else."""

from __future__ import annotations

from typing import Any, Dict, List

from clip2om.pipeline.console import Console
from clip2om.pipeline.records import DeviceCompute, Latency, Rate, Throughput

_BENCHMARK_WALL = "wall: first read to last result, nothing written"
_COMPUTE = "compute: at least one batch on the device"


def show(figures: Throughput, console: Console, benchmark: bool = False) -> None:
    """Show what was counted, the rates over both intervals, and the latencies."""
    console.result(_counted(figures))
    wall, compute = figures.wall, figures.compute
    covers = _BENCHMARK_WALL if benchmark else f"wall: {figures.wall_covers}"
    console.table(
        ["", "seconds", "clips/s", "videos/s", "frames/s", "slots/s"],
        [_row(_COMPUTE, compute), _row(covers, wall)],
    )
    device = figures.device_compute
    # Tools report executions alone; there is no second figure to show.
    rows = []
    if device is None or device.batch != figures.latency:
        rows.append(_latency_row("submission to completion", figures.latency))
    if device is not None:
        rows.append(_latency_row(f"execution alone ({device.source})", device.batch))
        copies = (("copy in", device.copy_in), ("copy out", device.copy_out))
        rows += [_latency_row(f"{name} ({device.source})", found) for name, found in copies if found is not None]
    head = f"latency of {figures.latency.count} batches, ms"
    console.table([head, "mean", "p50", "p90", "p95", "p99", "max"], rows)
    if device is not None:
        console.result(_device(device))


def show_observed(observed: Dict[str, Any], console: Console) -> None:
    """Show what was seen of each device: its memory, whether it grew, and its power."""
    for number, seen in observed.items():
        words = []
        memory, power = seen.get("memory"), seen.get("power")
        if memory:
            used, total = (memory[name] / 2**20 for name in ("used_bytes", "total_bytes"))
            grown = memory["slope_bytes_per_batch"] / 2**10
            words.append(f"memory {used:,.0f} of {total:,.0f} MiB in use, {grown:+.2f} KiB per batch")
        if power:
            words.append(f"power {power['mean_w']:.1f} W, at most {power['most_w']:.1f} W ({power['samples']} samples)")
        if words:
            console.result(f"device {number}: {'; '.join(words)}")


def _device(device: DeviceCompute) -> str:
    formula = "1000 * batch / mean ms, as ais_bench reports it"
    if device.clips_per_item == 1:
        return f"device compute: {device.slots_per_s:.2f} slots/s = {formula}"
    items = f"{device.items_per_s:.2f} items/s of {device.clips_per_item} clips each"
    return f"device compute: {items} = {formula}; {device.slots_per_s:.2f} slots/s"


def _latency_row(name: str, latency: Latency) -> List[str]:
    values = (latency.mean_ms, latency.p50_ms, latency.p90_ms, latency.p95_ms, latency.p99_ms, latency.max_ms)
    return [name, *("-" if value is None else f"{value:.2f}" for value in values)]


def _counted(figures: Throughput) -> str:
    head = f"{figures.batches} batches: {figures.clips} clips of {figures.videos} videos, {figures.frames} frames"
    loops = f" in {figures.loops} loops" if figures.loops > 1 else ""
    kept = f"; {figures.resumed_batches} batches kept from an earlier run" if figures.resumed_batches else ""
    took = f", {figures.warmup_s:.2f} s" if figures.warmup_s else ""
    warm = f"; warm-up: {figures.warmup_batches} batches{took}" if figures.warmup_batches else ""
    return f"{head}{loops}, {figures.padded_slots} padded slots{kept}{warm}"


def _row(name: str, rate: Rate) -> list:
    values = (rate.clips_per_s, rate.videos_per_s, rate.frames_per_s, rate.slots_per_s)
    return [name, f"{rate.seconds:.3f}", *(f"{value:.1f}" for value in values)]
