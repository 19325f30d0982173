"""The contents of compare.html."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Sequence

import numpy as np

from clip2om.scripts.compare.comparison import Comparison
from clip2om.scripts.compare.logits import MAX_KL, MAX_RELATIVE, MIN_COSINE, common_clips
from clip2om.scripts.compare.show import first_words, side_words, speed_rows
from clip2om.scripts.compare.tensors import DIFFERS
from clip2om.scripts.compare.texts import Text, say
from clip2om.scripts.pages import charts, figures
from clip2om.scripts.pages.charts import Spec
from clip2om.scripts.pages.figures import Example
from clip2om.scripts.pages.render import Page
from clip2om.scripts.pages.run import Note, Run
from clip2om.scripts.pages.strips import Place, strips

Content = Dict[str, Any]


@dataclass(frozen=True)
class Change:
    """One video that changed sides, as both runs see it; ``index`` is that of its film strip."""

    index: int
    a: Example
    b: Example


def page(a: Run, b: Run, found: Comparison, place: Place, count: int) -> Page:
    """Return the page with ``count`` film strips of each kind, 0 for none."""
    drawn: Dict[str, Spec] = {}
    content: Content = {
        "found": found,
        "first": first_words(found),
        "sides": [(say("run_a"), found.a, side_words(found.a)), (say("run_b"), found.b, side_words(found.b))],
        "forced": found.accuracy is not None and found.triage[0].verdict == DIFFERS,
        "speed_rows": speed_rows(found),
        "notes": _notes(a, b),
    }
    _drift(a, b, found, content, drawn)
    _changed(a, b, found, place, count, content)
    waits = [(name, run.summary.latency_ms) for name, run in (("A", a), ("B", b)) if run.summary]
    if all(values for _, values in waits) and len(waits) == 2:
        drawn["chart-latency"] = charts.latency(waits, [])
    hosts = [run.summary.host.get("cpu") for run in (a, b) if run.summary]
    content["other_hosts"] = len(set(map(str, hosts))) > 1
    changed = ["changed"] if found.accuracy else []
    drifted = ["score_drift"] if found.drift else []
    content["sections"] = ["triage", "accuracy", *changed, *drifted, *(["speed"] if found.speed else []), "sides"]
    names = sorted({a.accuracy.origin.card, b.accuracy.origin.card})
    title = Text(f"{', '.join(names)}: {say('comparison').en}", f"{', '.join(names)}：{say('comparison').zh}")
    return Page("compare.html", title, drawn, content)


def _notes(a: Run, b: Run) -> List[Note]:
    """Return what the two pages of the runs would say, each once and with the runs that say it."""
    said: Dict[str, List[str]] = {}
    kept: Dict[str, Note] = {}
    for name, run in (("A", a), ("B", b)):
        for note in run.notes:
            said.setdefault(str(note), []).append(name)
            kept[str(note)] = note
    return [
        Note("of_run", {"run": ", ".join(names), "note": say(kept[k].key, **kept[k].values)})
        for k, names in said.items()
    ]


def _drift(a: Run, b: Run, found: Comparison, content: Content, drawn: Dict[str, Spec]) -> None:
    content["drift"] = []
    drift = found.drift
    if drift is None:
        return
    content["drift"] = [
        (say("clips_compared"), f"{drift.clips}", ""),
        (say("same_class"), f"{drift.same_class}", ""),
        (say("max_abs"), f"{drift.max_abs:.4g}", ""),
        (say("mean_abs"), f"{drift.mean_abs:.4g}", ""),
        (say("max_score"), f"{drift.max_score:.4g}", ""),
        (say("cosine"), f"{drift.cosine:.6f}", f"≥ {MIN_COSINE}"),
        (say("euclid"), f"{drift.relative:.4g}", f"≤ {MAX_RELATIVE}"),
        (say("kl"), f"{drift.kl:.4g}", f"≤ {MAX_KL}"),
        (say("max_kl"), f"{drift.max_kl:.4g}", ""),
    ]
    if not drift.identical:
        left, right = common_clips(a, b)
        moved = np.abs(a.scores.logits[left] - b.scores.logits[right]).max(axis=1)
        drawn["chart-drift"] = charts.spread(moved.tolist(), "moved", "clips")


def _changed(a: Run, b: Run, found: Comparison, place: Place, count: int, content: Content) -> None:
    content.update(changes=[], strips={})
    if found.accuracy is None:
        return
    shown = count or 12
    with_frames = b if b.manifest is not None else a
    groups: List[Content] = []
    for key, names in (("lost_videos", found.accuracy.lost), ("gained_videos", found.accuracy.gained)):
        changes = _pick(a, b, names, with_frames, shown)
        words = say("changed_shown", shown=len(changes), total=len(names))
        groups.append({"title": say(key), "changes": changes, "words": words})
    content["changes"] = groups
    if not count:
        content["notes"].append(Note("strips_off"))
        return
    every = [change.b if with_frames is b else change.a for group in groups for change in group["changes"]]
    content["strips"], notes = strips(with_frames, every, place)
    content["notes"] += notes


def _pick(a: Run, b: Run, names: Sequence[str], with_frames: Run, count: int) -> List[Change]:
    """Return the videos whose scores moved most; one that has no scores in a run cannot be shown."""
    mine, yours = ({name: index for index, name in enumerate(run.scores.ids)} for run in (a, b))
    pairs = [(mine[name], yours[name]) for name in names if name in mine and name in yours]
    moved = [float(np.nan_to_num(np.abs(a.means[left] - b.means[right])).max()) for left, right in pairs]
    order = sorted(range(len(pairs)), key=lambda place: -moved[place])[:count]
    return [
        Change(
            pairs[n][1] if with_frames is b else pairs[n][0],
            figures.example(a, pairs[n][0]),
            figures.example(b, pairs[n][1]),
        )
        for n in order
    ]
