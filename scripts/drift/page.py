"""The contents of drift.html: the error of each layer over its depth, and all layers as a table."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Optional

import altair as alt

from clip2om.scripts.drift.figures import Drift, LayerDrift, Limits
from clip2om.scripts.drift.texts import Text, say
from clip2om.scripts.pages.charts import Spec, finish
from clip2om.scripts.pages.render import Page
from clip2om.scripts.pages.run import Note

# A logarithmic axis has no zero: layers that agree to the bit are drawn here.
_FLOOR = 1e-9


def drift_page(card: str, against: str, clips: int, drift: Drift, limits: Limits) -> Page:
    """Return the page of one comparison."""
    first = drift.first(limits)
    values = {"cosine": limits.min_cosine, "relative": limits.max_relative}
    content: Dict[str, Any] = {
        "notes": [Note("unmatched", {"count": len(drift.unmatched)})] if drift.unmatched else [],
        "sections": ["layers"],
        "lead": say("drift_lead", against=against, clips=clips, layers=len(drift.layers)),
        "verdict": say("drift_first", layer=first.name, **values) if first else say("drift_within", **values),
        "rows": [_row(layer, limits) for layer in drift.layers],
    }
    title = Text(f"{card}: {say('drift').en}", f"{card}：{say('drift').zh}")
    return Page("drift.html", title, {"chart-layers": _chart(drift.layers, limits)}, content)


def _row(layer: LayerDrift, limits: Limits) -> Dict[str, Any]:
    figures = (layer.cosine, layer.relative, layer.max_abs_diff, layer.grown)
    # NaN has no place in an order: the cell without a value goes last.
    cells = [
        (f"{value:.3g}" if number else f"{value:.6f}", value if math.isfinite(value) else "")
        for number, value in enumerate(figures)
    ]
    return {"layer": layer, "cells": cells, "missed": limits.missed(layer)}


def _chart(layers: List[LayerDrift], limits: Limits) -> Spec:
    """Draw relative errors on a logarithmic axis, layers beyond a limit in another colour."""
    rows = [
        {
            "d": layer.depth,
            "n": layer.name,
            "o": layer.op,
            "r": _plotted(layer.relative),
            "c": _finite(layer.cosine),
            "m": limits.missed(layer),
        }
        for layer in layers
    ]
    tips = [
        alt.Tooltip(field="n", type="nominal", title="@layer"),
        alt.Tooltip(field="o", type="nominal", title="@operator"),
        alt.Tooltip(field="r", type="quantitative", title="@relative", format=".2e"),
        alt.Tooltip(field="c", type="quantitative", title="@cosine", format=".6f"),
    ]
    base = alt.Chart(alt.NamedData(name="rows"))
    y = alt.Y("r:Q", scale=alt.Scale(type="log", domainMin=_FLOOR), title="@relative", axis=alt.Axis(format=".0e"))
    x = alt.X("d:Q", title="@depth")
    line = base.mark_line(opacity=0.4).encode(x, y)
    colour = alt.condition("datum.m", alt.value("var(--warm)"), alt.value("var(--accent)"))
    points = base.mark_point(filled=True, size=60, opacity=1).encode(x, y, color=colour, tooltip=tips)
    limit = base.mark_rule(strokeDash=[5, 4]).encode(alt.Y(datum=limits.max_relative))
    return finish(alt.layer(limit, line, points).properties(width="container", height=320), rows)


def _plotted(value: float) -> Optional[float]:
    return max(value, _FLOOR) if math.isfinite(value) else None


def _finite(value: float) -> Optional[float]:
    return value if math.isfinite(value) else None
