"""Rates and latencies of a run, from when each batch was on the device."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np

from clip2om.infer.groups import Group
from clip2om.pipeline.manifest import Manifest
from clip2om.pipeline.records import DeviceCompute, Latency, Rate, Throughput


@dataclass
class Clock:
    """Starts with the first read; each finished batch moves the end, after its results are written.

    Attributes:
        compute_ms: By device, the milliseconds of each execution alone, where ``source`` measured them.
        copies_ms: Milliseconds of each copy to the device and back, where the device measured them.
        source: Who did; as in :class:`DeviceCompute`.
        covers: What lies between begin and end.
        placed: When each batch began is known, not only how long it took.
    """

    begin: float = field(default_factory=time.perf_counter)
    end: float = 0.0
    intervals: List[Tuple[float, float]] = field(default_factory=list)
    compute_ms: Dict[int, List[float]] = field(default_factory=dict)
    copies_ms: List[Tuple[float, float]] = field(default_factory=list)
    source: str = "events"
    covers: str = "first read to last write"
    placed: bool = True

    def add(
        self,
        start: float,
        end: float,
        compute_ms: Optional[float] = None,
        device: int = 0,
        copies_ms: Optional[Tuple[float, float]] = None,
    ) -> None:
        """Count a batch whose results have been dealt with."""
        self.intervals.append((start, end))
        if compute_ms is not None:
            self.compute_ms.setdefault(device, []).append(compute_ms)
        if copies_ms is not None:
            self.copies_ms.append(copies_ms)
        self.end = time.perf_counter()

    @property
    def wall_s(self) -> float:
        """Seconds from the first read to the last write."""
        return self.end - self.begin

    @property
    def compute_s(self) -> float:
        """Seconds during which at least one batch was on the device."""
        return covered(self.intervals)

    @property
    def latency_ms(self) -> List[float]:
        """Milliseconds from submission to completion, per batch, in order."""
        return [round((end - start) * 1000, 4) for start, end in self.intervals]

    @property
    def start_ms(self) -> List[float]:
        """Milliseconds from begin to submission, per batch, in the order of latency_ms; empty where it is not known."""
        return [round((start - self.begin) * 1000, 4) for start, _ in self.intervals] if self.placed else []


@dataclass(frozen=True)
class Work:
    """What was done while the clock ran; a video counts where its last clip was, slots are those of clips."""

    batches: int
    clips: int
    videos: int
    frames: int
    slots: int
    clips_per_item: int = 1


def work_of(manifest: Manifest, groups: Sequence[Group], loops: int = 1) -> Work:
    """Return what running ``groups`` amounts to, ``loops`` times over."""
    done = {file.name for group in groups for file in group.files}
    indices = {index for index, file in enumerate(manifest.files) if file.name in done}
    clips = sum(group.clips for group in groups)
    return Work(
        batches=len(groups) * loops,
        clips=clips * loops,
        videos=sum(video.clips[-1][0] in indices for video in manifest.videos if video.clips) * loops,
        frames=clips * manifest.fingerprint.frames * loops,
        slots=sum(group.slots for group in groups) * loops,
        clips_per_item=manifest.tensor.clips_per_item,
    )


def throughput(work: Work, clock: Clock, warmup: Tuple[int, float], resumed: int, loops: int = 1) -> Throughput:
    """Return the figures of a run.

    Args:
        work: What was done.
        clock: When.
        warmup: Batches run before the clock started, and the seconds they took.
        resumed: Batches kept from an earlier run.
        loops: Times everything was run.
    """
    return Throughput(
        batches=work.batches,
        clips=work.clips,
        videos=work.videos,
        frames=work.frames,
        padded_slots=work.slots - work.clips,
        compute=_rate(work, clock.compute_s),
        wall=_rate(work, clock.wall_s),
        latency=_latency(clock.latency_ms),
        warmup_batches=warmup[0],
        warmup_s=round(warmup[1], 4),
        resumed_batches=resumed,
        loops=loops,
        device_compute=_device_compute(work, clock),
        wall_covers=clock.covers,
    )


def _device_compute(work: Work, clock: Clock) -> Optional[DeviceCompute]:
    every = [value for values in clock.compute_ms.values() for value in values]
    if not every:
        return None
    batch = work.slots / work.batches
    rates = [1000 * batch / max(float(np.mean(values)), 1e-6) for values in clock.compute_ms.values()]
    latency = _latency([round(value, 4) for value in every])
    found = DeviceCompute(clock.source, latency, round(sum(rates), 3), work.clips_per_item)
    if not clock.copies_ms:
        return found
    into, out = (_latency([round(value, 4) for value in column]) for column in zip(*clock.copies_ms))
    return replace(found, copy_in=into, copy_out=out)


def covered(intervals: Iterable[Tuple[float, float]]) -> float:
    """Return the length of the union of ``intervals``."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _rate(work: Work, seconds: float) -> Rate:
    # A clock too coarse to see the run must not divide by zero.
    seconds = max(seconds, 1e-9)
    counts = (work.clips, work.videos, work.frames, work.slots)
    return Rate(round(seconds, 6), *(round(count / seconds, 3) for count in counts))


def _latency(values: List[float]) -> Latency:
    p50, p90, p95, p99 = (round(float(value), 4) for value in np.percentile(values, (50, 90, 95, 99)))
    return Latency(len(values), round(float(np.mean(values)), 4), p50, p90, p99, max(values), p95)
