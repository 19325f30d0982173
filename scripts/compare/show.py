"""The comparison on the terminal and as JSON."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from clip2om.pipeline.console import Console
from clip2om.pipeline.typed import to_dict
from clip2om.postprocess.metrics import Proportion
from clip2om.scripts.compare.comparison import Comparison, Side
from clip2om.scripts.compare.paired import Paired
from clip2om.scripts.compare.texts import Text, say

VERSION = 1


def first_words(found: Comparison) -> Text:
    """Return one sentence that names the first that differs."""
    if found.first is None:
        return say("none_differs")
    verdict = next(check.verdict for check in found.triage if check.step == found.first)
    return say(f"first_{verdict}", step=say(found.first))


def payload(found: Comparison) -> Dict[str, Any]:
    """Return compare.json."""
    content: Dict[str, Any] = to_dict(found)
    for written, check in zip(content["triage"], found.triage):
        written["why"] = str(check.why)
    return content


def comparison(console: Console, found: Comparison) -> None:
    """Show the runs, the triage, accuracy, drift and speed."""
    for name, side in (("A", found.a), ("B", found.b)):
        console.result(f"{name}  {side.results}: {side_words(side)}")
    console.result()
    for number, check in enumerate(found.triage, 1):
        console.result(f"{number}. {say(check.step)}: {say(check.verdict)} ({check.why})")
        for name, mine, yours in check.fields:
            console.result(f"   {name}: {mine} in A, {yours} in B")
    console.result(str(first_words(found)))
    console.result()
    if found.accuracy is not None:
        _accuracy(console, found.accuracy)
    if found.speed:
        rows = [[str(name), _figure(a), _figure(b), _ratio(ratio)] for name, a, b, ratio in speed_rows(found)]
        console.table(["speed", "A", "B", "B/A"], rows)
        console.result()


def side_words(side: Side) -> str:
    """Return what a run was, in one line."""
    batch = f"batch {side.batch}" if side.batch else None
    parts = (side.card, side.soc, side.engine, side.device, side.precision, batch)
    return ", ".join(part for part in parts if part)


def speed_rows(found: Comparison) -> List[Any]:
    """Return name, A, B and B / A of each figure of speed."""
    rates = {"compute": "compute_rate", "wall": "wall_rate", "device_alone": "device_alone"}
    rows: List[Any] = []
    for row in found.speed:
        if row.name in rates:
            name = say("rate_of", name=say(rates[row.name]))
        else:
            known = {"mean": say("of_mean"), "max": say("of_max")}
            name = say("latency_of", name=known.get(row.name, row.name), unit=row.unit)
        rows.append((name, row.a, row.b, row.ratio))
    return rows


def verdict(found: Paired) -> str:
    """Return the last line: both accuracies, their difference and what it means."""
    lost, gained = len(found.lost), len(found.gained)
    return (
        f"top-{found.k}: A {_share(found.a)}, B {_share(found.b)}, {100 * found.difference:+.2f} points; "
        f"{lost} videos lost, {gained} gained, McNemar p = {found.p:.3g}"
    )


def _accuracy(console: Console, found: Paired) -> None:
    if found.only_a or found.only_b:
        console.result(str(say("over_common", count=found.a.total, only_a=found.only_a, only_b=found.only_b)))
    if found.absent_a or found.absent_b:
        console.result(str(say("without_scores", a=found.absent_a, b=found.absent_b)))
    head = [f"top-{found.k}, videos", "hits/total", "accuracy", "95 % interval"]
    rows = [[name, f"{item.hits}/{item.total}", *_interval(item)] for name, item in (("A", found.a), ("B", found.b))]
    span = f"{100 * found.low:+.2f} to {100 * found.high:+.2f}"
    rows.append(["B minus A, points", "", f"{100 * found.difference:+.2f}", span])
    console.table(head, rows)
    console.result()


def _interval(item: Proportion) -> List[str]:
    if item.value is None or item.low is None or item.high is None:
        return ["-", "-"]
    return [f"{100 * item.value:.2f} %", f"{100 * item.low:.2f} to {100 * item.high:.2f} %"]


def _share(item: Proportion) -> str:
    return "-" if item.value is None else f"{100 * item.value:.2f} %"


def _figure(value: Optional[float]) -> str:
    return "-" if value is None else f"{value:.2f}"


def _ratio(value: Optional[float]) -> str:
    return "-" if value is None else f"{value:.3f}"
