"""What the terminal shows: coverage in words, a table of figures, the worst classes."""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Tuple

from clip2om.pipeline.console import Console
from clip2om.postprocess.accuracy import Accuracy, Coverage
from clip2om.postprocess.metrics import Proportion
from clip2om.postprocess.reading import Reading
from clip2om.postprocess.scores import MISSING, SKIPPED, VIDEO

_LISTED = 10
_REASONS = 3
_WORST = 5


def reading(console: Console, found: Reading) -> None:
    """Say what was read, and warn of result files that are missing or belong to nothing."""
    files = _number(found.files, "result file")
    shape = f"{found.shape.rows} rows x {found.shape.columns} labels"
    console.say(f"read {files} of {shape} ({found.scores.origin.format}) from {found.run}")
    if found.guessed:
        console.say(f"they are taken for float16: {found.shape.nbytes} bytes are half of what float32 takes")
    if found.missing:
        total = found.files + len(found.missing)
        console.warn(f"{len(found.missing)} of {total} batch files have no result: {_some(found.missing)}")
    if found.extra:
        names = [path.name for path in found.extra]
        console.warn(f"{_number(len(names), 'result file')} of no batch file, not read: {_some(names)}")


def accuracy(console: Console, figures: Accuracy) -> None:
    """Show coverage, figures and worst classes."""
    console.result(coverage_words(figures.coverage, figures.rules.ignore))
    if figures.origin.views:
        console.result(
            f"  counted: {_number(figures.origin.views, 'view')} of each video (--views), not the protocol's"
        )
    if figures.rules.first_videos:
        console.result(f"  counted: the first {figures.rules.first_videos} scored videos alone (--first-videos)")
    for item in [item for item in figures.coverage.absent if item.kind == MISSING][:_LISTED]:
        console.result(f"  without scores: {item.id} ({item.reason})")
    if figures.coverage.missing > _LISTED:
        console.result(f"  and {figures.coverage.missing - _LISTED} more, listed in accuracy.json")
    console.result()
    console.table(["", "hits/total", "accuracy", "95 % interval"], _rows(figures))
    worst = _worst(figures)
    if worst:
        console.result()
        console.table(["worst classes, top-1", "hits/total", "accuracy", "95 % interval"], worst)
    console.result()


def coverage_words(coverage: Coverage, ignore: bool) -> str:
    """Return one line: how many videos were expected and scored, what became of the others, and what they count."""
    parts = [f"{_number(coverage.expected, 'video')} expected, {coverage.scored} scored"]
    if coverage.skipped:
        parts.append(f", {coverage.skipped} skipped ({_reasons(coverage.reasons(SKIPPED))})")
    if coverage.missing:
        parts.append(f", {coverage.missing} without scores")
    who = " and ".join(
        text
        for text, there in (("skipped videos", coverage.skipped), ("videos without scores", coverage.missing))
        if there
    )
    if who:
        parts.append(f"; {who} " + _consequence(ignore))
    if coverage.outside:
        parts.append(f"; {_number(coverage.outside, 'scored video')} outside the subset, not counted")
    if coverage.unlabelled:
        parts.append(f"; {_number(coverage.unlabelled, 'video')} without a label, not counted")
    return "".join(parts)


def verdict(figures: Accuracy, minimum: Optional[float]) -> str:
    """Return the last line: the accuracy that was asked for, and the gate that it passed."""
    name = f"top-{figures.rules.k}"
    found = figures.video[name]
    if found.value is None:
        return f"{name} accuracy: none, no video has a label"
    line = f"{name} accuracy: {found.value:.4f} ({found.hits} of {_number(found.total, 'video')})"
    return line if minimum is None else f"{line}, at least {minimum:.4f} as asked"


def _consequence(ignore: bool) -> str:
    return "are left out of the accuracy (--ignore)" if ignore else "count as wrong; --ignore leaves them out"


def _rows(figures: Accuracy) -> List[Tuple[str, ...]]:
    shown = [name for name in ("top-1", "top-5", f"top-{figures.rules.k}") if name in figures.video]
    rows = [_row(f"{name}, videos", figures.video[name]) for name in dict.fromkeys(shown)]
    unit = "items, clips averaged by the model" if figures.origin.rows == VIDEO else "clips"
    rows += [_row(f"{name}, {unit}", figures.clip[name]) for name in ("top-1", "top-5") if name in figures.clip]
    if figures.view is not None:
        views = f"views ({figures.origin.crops} crops of a clip)" if figures.origin.crops > 1 else "views"
        rows += [_row(f"{name}, {views}", figures.view[name]) for name in ("top-1", "top-5") if name in figures.view]
    mean = figures.mean_class
    classes = _number(mean.classes, "class", "classes")
    name = "mean class, top-1" + (", labels and predictions" if figures.rules.mean_class == "union" else "")
    rows.append((name, classes, _percent(mean.value), _interval(mean.low, mean.high)))
    if figures.batch:
        batch = figures.batch
        name = f"top-1, mean of batches of {batch.size} ({_number(batch.left_out, 'video')} left over)"
        rows.append((name, _number(batch.batches, "batch", "batches"), _percent(batch.value), "-"))
    return rows


def _row(name: str, figure: Proportion) -> Tuple[str, ...]:
    ratio = f"{figure.hits}/{figure.total}"
    return (name, ratio, _percent(figure.value), _interval(figure.low, figure.high))


def _worst(figures: Accuracy) -> List[Tuple[str, ...]]:
    imperfect = [item for item in figures.per_class if item.accuracy.hits < item.accuracy.total]
    imperfect.sort(key=lambda item: item.accuracy.hits / item.accuracy.total)
    return [_row(item.label, item.accuracy) for item in imperfect[:_WORST]]


def _percent(value: Optional[float]) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _interval(low: Optional[float], high: Optional[float]) -> str:
    return "-" if low is None or high is None else f"{100 * low:.2f} to {100 * high:.2f} %"


def _reasons(reasons: Dict[str, int]) -> str:
    """Return the most frequent reasons with their numbers; reasons that differ in a number only are one."""
    merged: Dict[str, int] = {}
    for reason, times in reasons.items():
        merged.setdefault(re.sub(r"\d+", "N", reason), 0)
        merged[re.sub(r"\d+", "N", reason)] += times
    if len(merged) == len(reasons):
        merged = dict(reasons)
    ordered = sorted(merged.items(), key=lambda item: -item[1])
    shown = [f"{reason}: {times}" for reason, times in ordered[:_REASONS]]
    rest = sum(times for _, times in ordered[_REASONS:])
    return "; ".join([*shown, f"other reasons: {rest}"] if rest else shown)


def _some(names: List[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _number(count: int, word: str, plural: str = "") -> str:
    return f"{count} {word if count == 1 else plural or word + 's'}"
