"""The charts, as Vega-Lite specifications in the language of keys: ``@key`` becomes a text of the chosen language."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

import altair as alt

from clip2om.scripts.pages.figures import Calibration, Cell
from clip2om.scripts.pages.times import Lane, Slice

Spec = Dict[str, Any]
_LATENCY_BINS = 40
# Up to so many cells are drawn as SVG, which prints in any theme; more of them are faster on a canvas.
_SVG_CELLS = 3000
_TICKS = 400
_LARGE = 100


def finish(chart: Any, rows: Sequence[Dict[str, Any]], about: str = "", **more: Any) -> Spec:
    """Return the specification with its data under the name ``rows``; ``about`` is the key of its spoken name."""
    spec: Spec = chart.to_dict()
    spec.setdefault("datasets", {})["rows"] = list(rows)
    spec["autosize"] = {"type": "fit" if spec.get("height") == "container" else "fit-x", "contains": "padding"}
    spec["usermeta"] = {"renderer": "svg", **more}
    if about:
        spec["description"] = f"@{about}"
    return spec


def _data() -> Any:
    return alt.NamedData(name="rows")


def _tip(field: str, title: str, form: str = "") -> Any:
    kind: Dict[str, Any] = {"type": "quantitative", "format": form} if form else {"type": "nominal"}
    return alt.Tooltip(field=field, title=f"@{title}", **kind)


def accuracy(rows: Sequence[Dict[str, Any]], published: Sequence[Dict[str, Any]]) -> Spec:
    """Draw accuracies with intervals, and published figures.

    Args:
        rows: en and zh (the name in both languages), value, low and high, 0 to 1.
        published: en, zh and published, 0 to 1.
    """
    where = alt.Y(field="@name_field", type="nominal", sort=None, title=None)
    scale = alt.Scale(domain=[0, 1])
    named = _tip("@name_field", "metric")
    tips = [named, *(_tip(n, t, ".2%") for n, t in (("value", "value"), ("low", "low"), ("high", "high")))]
    base = alt.Chart(_data())
    span = base.mark_rule(strokeWidth=3, opacity=0.5).encode(
        alt.X("low:Q", scale=scale, title="@value", axis=alt.Axis(format="%")), alt.X2("high"), where, tooltip=tips
    )
    point = base.mark_point(filled=True, size=90).encode(alt.X("value:Q", scale=scale), where, tooltip=tips)
    layers: List[Any] = [span, point]
    if published:
        tick = alt.Chart(alt.InlineData(values=list(published))).mark_tick(thickness=3, size=22, color="var(--warm)")
        tips = [named, _tip("published", "published", ".2%")]
        layers.append(tick.encode(alt.X("published:Q", scale=scale), where, tooltip=tips))
    keys = ("en", "zh", "value", "low", "high")
    chart = alt.layer(*layers).properties(width="container", height=34 * len(rows))
    return finish(chart, [{key: row[key] for key in keys} for row in rows], "accuracy")


def confusion(cells: Sequence[Cell], labels: Sequence[str]) -> Spec:
    """Draw the cells on axes that count classes, so that they can be zoomed; rows are true classes."""
    rows = [{"t": cell.truth, "p": cell.predicted, "n": cell.count, "s": round(cell.share, 4)} for cell in cells]
    count = len(labels)
    names = alt.param(name="names", value=list(labels))
    # Beyond some hundred classes the ticks follow the zoom; up to then every class has one.
    ticks: Dict[str, Any] = {"values": list(range(count))} if count <= _TICKS else {"tickMinStep": 1}

    def words(angle: int) -> Any:
        named = "datum.value % 1 ? '' : names[datum.value]"
        shape: Dict[str, Any] = {"labelLimit": 110, "labelOverlap": "greedy", "labelAngle": angle, "grid": False}
        return alt.Axis(labelExpr=named, **shape, **ticks)

    # A cell of a pixel or less is seen only if it is dark.
    faint = 0.12 if count <= _LARGE else 0.5
    scale: Dict[str, Any] = {"domain": [-0.5, count - 0.5], "nice": False, "zero": False}
    chart = (
        alt.Chart(_data())
        .transform_calculate(
            true="names[datum.t]",
            predicted="names[datum.p]",
            x0="datum.p - 0.5",
            x1="datum.p + 0.5",
            y0="datum.t - 0.5",
            y1="datum.t + 0.5",
        )
        .mark_rect(clip=True)
        .encode(
            alt.X("x0:Q", scale=alt.Scale(**scale), title="@predicted", axis=words(-60)),
            alt.X2("x1"),
            alt.Y("y0:Q", scale=alt.Scale(**scale, reverse=True), title="@true", axis=words(0)),
            alt.Y2("y1"),
            opacity=alt.Opacity("s:Q", scale=alt.Scale(domain=[0, 1], range=[faint, 1]), legend=None),
            tooltip=[
                _tip("true", "true"),
                _tip("predicted", "predicted"),
                _tip("n", "videos", "d"),
                _tip("s", "share", ".1%"),
            ],
        )
        .add_params(names, alt.selection_interval(name="zoom", bind="scales", zoom="wheel![event.ctrlKey]"))
        .properties(width="container", height="container")
    )
    return finish(chart, rows, "confusion", renderer="canvas" if len(rows) > _SVG_CELLS else "svg", zoom=True)


def reliability(found: Calibration) -> Spec:
    """Draw the share that is right over the score, with intervals and the line of perfect calibration."""
    rows = [
        {
            "x0": item.low,
            "x1": item.high,
            "conf": item.confidence,
            "acc": item.accuracy.value,
            "lo": item.accuracy.low,
            "hi": item.accuracy.high,
            "n": item.accuracy.total,
        }
        for item in found.bins
    ]
    unit = alt.Scale(domain=[0, 1])
    tips = [
        _tip("conf", "mean_confidence", ".3f"),
        _tip("acc", "right_share", ".1%"),
        _tip("lo", "low", ".1%"),
        _tip("hi", "high", ".1%"),
        _tip("n", "videos", "d"),
    ]
    base = alt.Chart(_data())
    bars = base.mark_rect(opacity=0.35).encode(
        alt.X("x0:Q", scale=unit, title="@confidence"),
        alt.X2("x1"),
        alt.Y("acc:Q", scale=unit, title="@right_share", axis=alt.Axis(format="%")),
        alt.Y2(datum=0),
        tooltip=tips,
    )
    span = base.mark_rule(strokeWidth=2).encode(alt.X("conf:Q"), alt.Y("lo:Q"), alt.Y2("hi"), tooltip=tips)
    point = base.mark_point(filled=True, size=70).encode(alt.X("conf:Q"), alt.Y("acc:Q"), tooltip=tips)
    ideal = (
        alt.Chart(alt.InlineData(values=[{"v": 0}, {"v": 1}]))
        .mark_line(strokeDash=[5, 4], color="var(--muted)")
        .encode(alt.X("v:Q"), alt.Y("v:Q"))
    )
    return finish(alt.layer(bars, ideal, span, point).properties(width="container", height=320), rows, "reliability")


def counts(rows: Sequence[Tuple[int, int]], axis: str) -> Spec:
    """Draw how many videos have each number of clips."""
    data = [{"x": number, "n": videos} for number, videos in rows]
    size: Dict[str, Any] = {} if len(data) > 40 else {"size": max(4, 120 // len(data))}
    bars = alt.Chart(_data()).mark_bar(**size)
    chart = bars.encode(
        alt.X(
            "x:Q", title=f"@{axis}", axis=alt.Axis(tickMinStep=1, format="d"), scale=alt.Scale(zero=False, padding=12)
        ),
        alt.Y("n:Q", title="@videos", axis=alt.Axis(tickMinStep=1)),
        tooltip=[_tip("x", axis, "d"), _tip("n", "videos", "d")],
    )
    return finish(chart.properties(width="container", height=220), data, axis)


def latency(runs: Sequence[Tuple[str, Sequence[float]]], marks: Sequence[Tuple[str, float]]) -> Spec:
    """Draw the histogram of milliseconds per batch.

    Args:
        runs: Name and values of each run; two are drawn over each other.
        marks: Name and value of percentiles, for a single run.
    """
    rows = histogram(runs)
    several = len(runs) > 1
    tips = [
        *([_tip("run", "run")] if several else []),
        *(_tip(n, t, ".2f") for n, t in (("x0", "low"), ("x1", "high"))),
    ]
    colours: Dict[str, Any] = {"color": alt.Color("run:N", title=None, sort=None)} if several else {}
    bars = (
        alt.Chart(_data())
        .mark_rect(opacity=0.5 if several else 0.8)
        .encode(
            alt.X("x0:Q", title="@latency_axis", scale=alt.Scale(zero=False)),
            alt.X2("x1"),
            alt.Y("n:Q", title="@batches", axis=alt.Axis(tickMinStep=1)),
            alt.Y2(datum=0),
            tooltip=[*tips, _tip("n", "batches", "d")],
            **colours,
        )
    )
    if not marks:
        return finish(bars.properties(width="container", height=240), rows, "latency")
    named = alt.Chart(alt.InlineData(values=[{"name": name, "at": value} for name, value in marks]))
    tips = [_tip("name", "percentile"), _tip("at", "latency_axis", ".2f")]
    lines = named.mark_rule(strokeDash=[4, 3], color="var(--warm)", strokeWidth=2).encode(alt.X("at:Q"), tooltip=tips)
    words = named.mark_text(dy=-6, baseline="bottom", color="var(--warm)").encode(
        alt.X("at:Q"), alt.Text("name:N"), y=alt.value(0)
    )
    return finish(alt.layer(bars, lines, words).properties(width="container", height=240), rows, "latency")


def spread(values: Sequence[float], axis: str, unit: str) -> Spec:
    """Draw the histogram of ``values``; ``axis`` and ``unit`` are keys of texts."""
    bars = (
        alt.Chart(_data())
        .mark_rect(opacity=0.8)
        .encode(
            alt.X("x0:Q", title=f"@{axis}", scale=alt.Scale(zero=False)),
            alt.X2("x1"),
            alt.Y("n:Q", title=f"@{unit}", axis=alt.Axis(tickMinStep=1)),
            alt.Y2(datum=0),
            tooltip=[_tip("x0", "low", ".4g"), _tip("x1", "high", ".4g"), _tip("n", unit, "d")],
        )
    )
    return finish(bars.properties(width="container", height=220), histogram([("", values)]), axis)


def histogram(runs: Sequence[Tuple[str, Sequence[float]]], bins: int = _LATENCY_BINS) -> List[Dict[str, Any]]:
    """Return run, x0, x1 and n per bin that holds values; all runs share their bins."""
    every = [value for _, values in runs for value in values]
    low, high = min(every), max(every)
    width = (high - low) / bins or max(abs(low), 1.0) / bins
    rows = []
    for name, values in runs:
        found: Dict[int, int] = {}
        for value in values:
            place = min(int((value - low) / width), bins - 1)
            found[place] = found.get(place, 0) + 1
        rows += [
            {"run": name, "x0": low + place * width, "x1": low + (place + 1) * width, "n": number}
            for place, number in sorted(found.items())
        ]
    return rows


def timeline(lanes: Sequence[Lane]) -> Spec:
    """Draw each batch from its submission to its completion; batches under way at once lie in different lanes."""
    rows = [
        {
            "i": lane.batch,
            "a": round(lane.start / 1000, 5),
            "b": round(lane.end / 1000, 5),
            "l": lane.lane,
            "ms": lane.end - lane.start,
        }
        for lane in lanes
    ]
    chart = (
        alt.Chart(_data())
        .mark_bar(stroke="var(--paper)", strokeWidth=0.6)
        .encode(
            alt.X("a:Q", title="@seconds", scale=alt.Scale(nice=False)),
            alt.X2("b"),
            alt.Y("l:O", title="@lane"),
            tooltip=[_tip("i", "batch", "d"), _tip("a", "seconds", ".3f"), _tip("ms", "latency_axis", ".2f")],
        )
    )
    return finish(chart.properties(width="container", height=26 * max(lane.lane for lane in lanes)), rows, "timeline")


def slices(parts: Sequence[Slice]) -> Spec:
    """Draw batches per part of the run, with their mean latency."""
    rows = [{"a": part.start, "b": part.end, "n": part.batches, "ms": part.mean_ms} for part in parts]
    chart = (
        alt.Chart(_data())
        .mark_rect()
        .encode(
            alt.X("a:Q", title="@seconds", scale=alt.Scale(nice=False)),
            alt.X2("b"),
            alt.Y("n:Q", title="@batches"),
            alt.Y2(datum=0),
            tooltip=[_tip("a", "seconds", ".3f"), _tip("n", "batches", "d"), _tip("ms", "latency_axis", ".2f")],
        )
    )
    return finish(chart.properties(width="container", height=200), rows, "timeline")
