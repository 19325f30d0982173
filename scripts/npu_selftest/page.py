"""The figures of the NPU self-test and the page that shows them."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional

from clip2om.pipeline.artifact import load_json
from clip2om.pipeline.console import format_table, size
from clip2om.pipeline.errors import RequestError
from clip2om.scripts.npu_selftest.steps import Step

_WIDTH = 110


@dataclass(frozen=True)
class Agreement:
    """How far the scores of two runs over the same clips are apart.

    Attributes:
        max_logit_diff: Largest difference of the raw outputs.
        max_score_diff: Largest difference after softmax, 0 to 1.
        cosine: Cosine of all raw outputs.
        clips: Share of clips with the same best class; ``videos`` of videos.
    """

    max_logit_diff: float
    max_score_diff: float
    cosine: float
    clips: float
    videos: float


@dataclass(frozen=True)
class Figures:
    """One run: its accuracy, its speed, and its agreement with the CPU (None for the CPU itself).

    Attributes:
        accuracy: Top-1 of videos, 0 to 1.
        device_ms: Milliseconds of the execution alone per batch; None where the engine cannot tell.
        wall_clips_per_s: Clips per second from first read to last write; None where batches were kept.
    """

    name: str
    engine: str
    device: str
    precision: str
    accuracy: float
    batches: int
    clips: int
    device_ms: Optional[float]
    wall_clips_per_s: Optional[float]
    agreement: Optional[Agreement] = None


def figures(name: str, scores: Path, results: Path, reference: Optional[Path]) -> Figures:
    """Collect the figures of a run from its folders; ``reference`` is the result folder of the CPU."""
    summary = load_json(scores / "summary.json", "run the self-test again")
    accuracy = load_json(results / "accuracy.json", "run the self-test again")
    throughput = summary.get("throughput") or {}
    compute = (throughput.get("device_compute") or {}).get("batch") or {}
    return Figures(
        name,
        f"{summary['engine']} {summary['engine_version']}",
        summary["device"],
        summary["precision"],
        accuracy["video"]["top-1"]["value"],
        len(summary["files"]),
        accuracy["coverage"]["clips"],
        compute.get("mean_ms"),
        (throughput.get("wall") or {}).get("clips_per_s"),
        agreement(results / "scores.npz", reference / "scores.npz") if reference else None,
    )


def agreement(mine: Path, reference: Path) -> Agreement:
    """Compare two score archives clip by clip.

    Raises:
        RequestError: they are not of the same clips.
    """
    import numpy as np

    from clip2om.postprocess.archive import read
    from clip2om.postprocess.metrics import video_scores

    ours, theirs = read(mine), read(reference)
    if ours.ids != theirs.ids or ours.logits.shape != theirs.logits.shape:
        raise RequestError("is not of the same clips", mine, f"delete {reference} and run the self-test again")
    first, second = ours.logits.astype(np.float64), theirs.logits.astype(np.float64)
    ones = np.ones(len(first), np.int64)
    counts = np.bincount(theirs.clip_video)
    clips = [video_scores(scores.logits, ones, "softmax") for scores in (ours, theirs)]
    videos = [video_scores(scores.logits, counts, "softmax").argmax(axis=1) for scores in (ours, theirs)]
    length = float(np.linalg.norm(first) * np.linalg.norm(second))
    return Agreement(
        float(np.abs(first - second).max()),
        float(np.abs(clips[0] - clips[1]).max()),
        float((first * second).sum() / length) if length else 0.0,
        float((clips[0].argmax(axis=1) == clips[1].argmax(axis=1)).mean()),
        float((videos[0] == videos[1]).mean()),
    )


def page(
    verdict: str, soc: str, host: Dict[str, Any], doctor: List[str], steps: List[Step], runs: List[Figures]
) -> str:
    """Return the page to send back."""
    lines = [f"clip2om NPU self-test: {verdict}", "", *_host(soc, host), "", *_doctor(doctor), "", "steps"]
    lines += [line for step in steps for line in _step(step)]
    if runs:
        lines += ["", *_results(runs)]
    return "\n".join(lines) + "\n"


def _host(soc: str, host: Dict[str, Any]) -> List[str]:
    ascend = host.get("ascend") or {}
    cann = ascend.get("cann") or {}
    chips = ascend.get("chips") or []
    versions = host.get("versions") or {}
    return [
        f"host   {host['cpu']}, {host['cores']} cores, {size(host['memory_bytes'])}, {host['system']}",
        f"       Python {host['python']}, " + ", ".join(f"{name} {version}" for name, version in versions.items()),
        f"NPU    {soc}; npu-smi lists {' '.join(chips) or 'nothing'}; driver {ascend.get('driver') or 'unknown'}",
        f"CANN   {cann.get('version') or 'unknown'} {cann.get('package') or ''}".rstrip()
        + "".join(f", {name} {version}" for name, version in (ascend.get("packages") or {}).items()),
    ]


def _doctor(lines: List[str]) -> List[str]:
    if not lines:
        return ["doctor found nothing wrong with convert, infer and postprocess"]
    return [
        "doctor",
        *[wrapped for line in lines for wrapped in textwrap.wrap(f"  {line}", _WIDTH, subsequent_indent="    ")],
    ]


def _step(step: Step) -> List[str]:
    head = f"  {'ok' if step.ok else f'exit {step.code}':<8} {step.seconds:7.1f} s  {step.name}"
    # What the doctor says has its own place on the page.
    return [head] if step.ok or step.name == "doctor" else [head, *_wrap(step.said), *_wrap(step.command)]


def _results(runs: List[Figures]) -> List[str]:
    first = runs[0]
    lines = [f"results on {first.clips} clips in {first.batches} batches; differences are from the first row"]
    rows = [[run.name, *_speed(run), *_difference(run.agreement)] for run in runs]
    head = ["run", "top-1", "device ms", "clips/s", "logit diff", "score diff", "cosine", "same clips", "same videos"]
    lines += [f"  {line}" for line in format_table(head, rows)]
    return [*lines, *[f"  {run.name}: {run.engine} on {run.device}, {run.precision}" for run in runs]]


def _speed(run: Figures) -> List[str]:
    return [f"{run.accuracy:.2%}", _number(run.device_ms, ".3f"), _number(run.wall_clips_per_s, ".1f")]


def _difference(found: Optional[Agreement]) -> List[str]:
    if found is None:
        return ["-"] * 5
    return [
        *(f"{found.max_logit_diff:.2e}", f"{found.max_score_diff:.2e}", f"{found.cosine:.9f}"),
        *(f"{found.clips:.2%}", f"{found.videos:.2%}"),
    ]


def _number(value: Optional[float], form: str) -> str:
    return "-" if value is None else format(value, form)


def _wrap(text: str) -> List[str]:
    """Break a long line at blanks; nothing is left out, because the end is often what matters."""
    indent = " " * 11
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
