"""The contents of report.html."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Dict, List, Tuple, Union

from clip2om.pipeline.card import Published
from clip2om.postprocess.accuracy import MeanClass
from clip2om.postprocess.metrics import Proportion
from clip2om.postprocess.scores import SKIPPED
from clip2om.scripts.pages import charts, figures, record, times
from clip2om.scripts.pages.charts import Spec
from clip2om.scripts.pages.render import Page
from clip2om.scripts.pages.run import Note, Run
from clip2om.scripts.pages.strips import Place, strips
from clip2om.scripts.pages.texts import Text, say

# What a page can show without becoming slow or large.
_CLASS_ROWS = 1000
_CELLS = 20_000
_ABSENT = 500
_BATCH_BARS = 600

Content = Dict[str, Any]


def report(run: Run, place: Place, count: int) -> Page:
    """Return the page of a run with ``count`` film strips of each kind, 0 for none."""
    content: Content = {"notes": list(run.notes), "labelled": bool(len(run.judged)), "published": []}
    drawn: Dict[str, Spec] = {}
    published = place.card.published if place.card else []
    content["published"] = published
    _accuracy(run, published, content, drawn)
    if content["labelled"]:
        _classes(run, content, drawn)
        _examples(run, place, count, content)
        _reliability(run, content, drawn)
    _coverage(run, content, drawn)
    _speed(run, content, drawn)
    content["tiles"] = _tiles(run)
    content["facts"] = record.facts(run, place.card)
    content["digests"], content["versions"] = record.digests(run), record.versions(run)
    content["commands"] = record.commands(run)
    content["sections"] = _sections(content, drawn)
    origin = run.accuracy.origin
    content["lead"] = ", ".join(
        part for part in (origin.dataset, origin.subset, origin.soc, origin.engine, origin.precision) if part
    )
    title = Text(f"{origin.card}: {say('report').en}", f"{origin.card}：{say('report').zh}")
    return Page("report.html", title, drawn, content)


def _sections(content: Content, drawn: Dict[str, Spec]) -> List[str]:
    labelled = ["classes", "confusion", "mistakes", "doubtful"] if content["labelled"] else []
    reliable = ["reliability"] if "chart-reliability" in drawn else []
    return ["summary", "accuracy", *labelled, "coverage", "speed", *reliable, "run"]


def _tiles(run: Run) -> List[Dict[str, object]]:
    tiles: List[Dict[str, object]] = []
    for name, found in _shown(run.accuracy.video).items():
        if found.value is not None and found.low is not None and found.high is not None:
            range_ = f"{100 * found.low:.2f} – {100 * found.high:.2f} % · {found.hits}/{found.total}"
            tiles.append({"label": say("of_videos", name=name), "value": f"{100 * found.value:.2f} %", "about": range_})
    covered = run.accuracy.coverage
    absent = covered.skipped + covered.missing
    about = Text(f"{absent} {say('skipped').en}", f"{say('skipped').zh} {absent}")
    tiles.append({"label": say("videos"), "value": f"{covered.scored}/{covered.expected}", "about": about})
    figures_ = run.summary.throughput if run.summary else None
    if figures_ is not None:
        rate, wait = figures_.compute.clips_per_s, figures_.latency
        tiles.append({"label": say("rate"), "value": f"{rate:,.1f}", "about": run.accuracy.origin.device or ""})
        about = say("p50_p99", p99=f"{wait.p99_ms:,.2f}")
        tiles.append({"label": say("latency"), "value": f"{wait.p50_ms:,.2f} ms", "about": about})
    return tiles


def _shown(found: Dict[str, Proportion]) -> Dict[str, Proportion]:
    """Return top-1, top-5 and the k that was asked for, whichever there are."""
    last = list(found)[-1:]
    return {name: found[name] for name in dict.fromkeys(["top-1", "top-5", *last]) if name in found}


def _accuracy(run: Run, published: List[Published], content: Content, drawn: Dict[str, Spec]) -> None:
    rows = [
        _metric(say("of_videos", name=name), item, _figures(published, name))
        for name, item in _shown(run.accuracy.video).items()
    ]
    rows += [_metric(say("of_clips", name=name), item, []) for name, item in _shown(run.accuracy.clip).items()]
    mean, batch = run.accuracy.mean_class, run.accuracy.batch
    whole = _metric(say("mean_class"), mean, _figures(published, "mean class accuracy"))
    rows.append({**whole, "ratio": say("n_classes", count=mean.classes)})
    if batch is not None:
        ratio = say("n_batches", count=batch.batches)
        about = {"name": say("batch_mean", size=batch.size), "ratio": ratio, "value": batch.value, "published": []}
        rows.append({**about, "low": None, "high": None})
    content["metrics"] = rows
    content["absent_rule"] = say("absent_ignored" if run.accuracy.rules.ignore else "absent_wrong")
    if content["labelled"]:
        there = [{**row, "en": row["name"].en, "zh": row["name"].zh} for row in rows if row["low"] is not None]
        known = [
            {"en": row["en"], "zh": row["zh"], "published": value} for row in there for value, _ in row["published"]
        ]
        drawn["chart-accuracy"] = charts.accuracy(there, known)


def _figures(published: List[Published], metric: str) -> List[float]:
    """Return the published fractions of a metric; whatever else is published is in the table below."""
    return [item.value for item in published if item.metric == metric and 0 <= item.value <= 1]


def _metric(name: Text, item: Union[Proportion, MeanClass], published: List[float]) -> Dict[str, Any]:
    """Return a row; each published figure comes with whether the interval holds it."""
    about: Dict[str, Any] = {"name": name, "value": item.value, "low": item.low, "high": item.high}
    about["ratio"] = f"{item.hits} / {item.total}" if isinstance(item, Proportion) else ""
    about["published"] = [(value, _inside(item, value)) for value in published]
    return about


def _inside(item: Union[Proportion, MeanClass], value: float) -> bool:
    return item.low is not None and item.high is not None and item.low <= value <= item.high


def _classes(run: Run, content: Content, drawn: Dict[str, Spec]) -> None:
    rows = figures.class_rows(run)
    rows.sort(key=lambda row: (row.accuracy.value is None, row.accuracy.value or 0.0, -row.accuracy.total))
    if len(rows) > _CLASS_ROWS:
        content["notes"].append(Note("many_classes", {"shown": _CLASS_ROWS, "total": len(rows)}))
    content["classes"] = rows[:_CLASS_ROWS]
    cells = figures.cells(run)
    if len(cells) > _CELLS:
        content["notes"].append(Note("many_cells", {"shown": _CELLS, "total": len(cells)}))
        cells = sorted(cells, key=lambda cell: -cell.count)[:_CELLS]
    drawn["chart-confusion"] = charts.confusion(cells, run.scores.labels)


def _examples(run: Run, place: Place, count: int, content: Content) -> None:
    shown = count or 12
    wrong, close = figures.mistakes(run, shown), figures.doubtful(run, shown)
    content["mistakes"], content["doubtful"] = wrong, close
    content["strips"], notes = strips(run, [*wrong, *close], place) if count else ({}, [Note("strips_off")])
    content["notes"] += notes


def _reliability(run: Run, content: Content, drawn: Dict[str, Spec]) -> None:
    found = figures.calibration(run)
    if found is None:
        content["notes"].append(Note("not_probabilities"))
        return
    drawn["chart-reliability"] = charts.reliability(found)
    content["reliability_about"] = say("reliability_about", error=f"{found.error:.4f}")


def _coverage(run: Run, content: Content, drawn: Dict[str, Spec]) -> None:
    found = run.accuracy.coverage
    rows: List[Tuple[Text, int]] = [
        (say("expected"), found.expected),
        (say("scored"), found.scored),
        (say("skipped"), found.skipped),
        (say("missing"), found.missing),
        (say("outside_subset"), found.outside),
        (say("without_label"), found.unlabelled),
        (say("clips_used"), found.clips),
        (say("clips_left"), found.left_out_clips),
    ]
    content["coverage"] = rows
    absent = sorted(found.absent, key=lambda item: item.kind != SKIPPED)
    content["absent"], content["absent_more"] = absent[:_ABSENT], max(0, len(absent) - _ABSENT)
    drawn["chart-clips"] = charts.counts(figures.clips_per_video(run), "clips_per_video")


def _speed(run: Run, content: Content, drawn: Dict[str, Spec]) -> None:
    written = times.stage_times(run)
    content["stages"] = [
        {"stage": item.stage, "files": item.files, "first": _when(item.first), "last": _when(item.last)}
        for item in written
    ]
    content["rates"] = _rates(run, written)
    content.update(warmup=None, percentiles=[], binned=False)
    summary = run.summary
    if summary is None or summary.throughput is None or not summary.latency_ms:
        return
    figure = summary.throughput
    values = (figure.warmup_batches, figure.warmup_s, figure.resumed_batches)
    warmup = say("warmup", **dict(zip(("batches", "seconds", "resumed"), values)))
    padded = say("padded", slots=figure.padded_slots)
    content["warmup"] = Text(f"{warmup.en} {padded.en}", f"{warmup.zh}{padded.zh}")
    wait = figure.latency
    marks = [("p50", wait.p50_ms), ("p90", wait.p90_ms), ("p99", wait.p99_ms)]
    p95 = [] if wait.p95_ms is None else [("p95", wait.p95_ms)]
    content["percentiles"] = [(say("mean"), wait.mean_ms), *marks[:2], *p95, marks[2], (say("max"), wait.max_ms)]
    device = figure.device_compute
    if device is not None:
        stages = (("copy_in", device.copy_in), ("execution", device.batch), ("copy_out", device.copy_out))
        content["percentiles"] += [(say(name), found.p50_ms) for name, found in stages if found is not None]
    drawn["chart-latency"] = charts.latency([("", summary.latency_ms)], marks)
    if len(summary.start_ms) != len(summary.latency_ms):
        content["notes"].append(Note("no_times"))
        return
    content["binned"] = len(summary.latency_ms) > _BATCH_BARS
    several = charts.slices(times.slices(summary)) if content["binned"] else charts.timeline(times.lanes(summary))
    drawn["chart-timeline"] = several


def _rates(run: Run, written: List[times.StageTimes]) -> List[Dict[str, object]]:
    rows = [
        _rate(say("by_files", stage=item.stage), item.last - item.first, item.rate) for item in written if item.rate
    ]
    figure = run.summary.throughput if run.summary else None
    if figure is None:
        return rows
    usual = figure.wall_covers == say("read_to_write").en
    for name, rate in (("compute", figure.compute), ("wall", figure.wall)):
        label = say(name, covers=say("read_to_write") if usual else figure.wall_covers)
        rows.append(_rate(label, rate.seconds, rate.clips_per_s, rate.videos_per_s, rate.frames_per_s))
    device = figure.device_compute
    if device is not None:
        alone = device.batch.mean_ms * device.batch.count / 1000
        rows.append(_rate(say("device_compute", source=device.source), alone, device.slots_per_s))
    return rows


def _rate(name: Text, seconds: float, clips: object, videos: object = None, frames: object = None) -> Dict[str, object]:
    return {"name": name, "seconds": seconds, "clips": clips, "videos": videos, "frames": frames}


def _when(stamp: float) -> str:
    return datetime.fromtimestamp(stamp, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
