"""What was measured: a table for people, JSON for programs, and the part of docs/benchmarks.md that they fill."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List

from clip2om.benchmarks.row import Growth, Row, spread
from clip2om.pipeline import facts
from clip2om.pipeline.artifact import write_json, write_text
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError

VERSION = 1
_BEGIN, _END = "<!-- make bench writes from here -->", "<!-- to here -->"
_DISTRIBUTIONS = ("numpy", "Pillow", "av", "openvino", "onnxruntime", "torch")


@dataclass(frozen=True)
class Measured:
    """All of it; ``failed`` maps benchmarks that could not be carried out to the reason."""

    date: str
    rounds: int
    host: Dict[str, Any]
    versions: Dict[str, str]
    rows: List[Row]
    growths: List[Growth]
    failed: Dict[str, str]


def measured(date: str, rounds: int, rows: List[Row], growths: List[Growth], failed: Dict[str, str]) -> Measured:
    """Return the figures with this machine's facts."""
    return Measured(date, rounds, facts.host(), facts.versions(_DISTRIBUTIONS), rows, growths, failed)


def show(found: Measured, console: Console) -> None:
    """Show the table, then growth, then what failed."""
    head = ["", "figure", "asked for", "met"]
    console.table(head, [[f"{row.stage}: {row.measure}", *_cells(row)[2:]] for row in found.rows])
    if found.growths:
        console.result()
        sizes = [str(factor) for factor in (1, 2, 4, 8)]
        table = [[item.stage, *(f"{cost:.3g}" for cost in item.cost), f"{item.exponent:.2f}"] for item in found.growths]
        console.table(["seconds at n times the videos", *sizes, "exponent"], table)
    for name, reason in found.failed.items():
        console.warn(f"{name}: {reason}")


def write(found: Measured, page: Path, record: Path) -> None:
    """Write the record, and the measured part of the page.

    Raises:
        RequestError: the page has no place for it.
    """
    write_json(record, "benchmarks", VERSION, _plain(found))
    text = page.read_text(encoding="utf-8") if page.is_file() else f"{_BEGIN}\n{_END}\n"
    head, begin, rest = text.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not begin or not end:
        raise RequestError(f"has no lines {_BEGIN!r} and {_END!r}", page, "put them where the table belongs")
    write_text(page, f"{head}{_BEGIN}\n\n{_page(found)}\n{_END}{tail}")


def _page(found: Measured) -> str:
    host = found.host
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    lines = [
        f"Measured {found.date} with `make bench`: {host['cores']} cores of {host['cpu']}, "
        f"{host['memory_bytes'] / 1e9:.0f} GB, {host['system']}, Python {host['python']}; {versions}.",
        "",
        f"Ours and the baseline are measured in turn, {found.rounds} rounds unless a note says otherwise. The figure "
        "is the median of the ratios of neighbouring measurements, or of our own where there is no baseline; in "
        "brackets the least and the largest.",
        "",
        "| stage | measure | ours | baseline | figure | asked for | met |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(f"| {row.stage} | {row.measure} | {' | '.join(_cells(row))} |" for row in found.rows),
    ]
    notes = [f"- {row.stage}, {row.measure}: {_note(row, found.rounds)}." for row in found.rows if row.note]
    lines += ["", "Notes:", "", *notes] if notes else []
    if found.growths:
        lines += ["", "Cost as the number of videos grows; the exponent is the slope of log cost over log videos:", ""]
        lines += ["| stage | videos | cost | exponent |", "| --- | --- | --- | --- |"]
        lines += [_grown(item) for item in found.growths]
    lines += [f"\nNot measured: {name} ({reason})." for name, reason in found.failed.items()]
    return "\n".join([*lines, ""])


def _cells(row: Row) -> List[str]:
    baseline = _figures(row.baseline, row.unit) if row.baseline else "none"
    _, least, most = spread(row.figures)
    unit = "" if row.baseline else f" {row.unit}"
    figure = f"{row.figure:.3g}{unit} ({least:.3g} to {most:.3g})"
    wanted = f"{row.relation} {row.target:g}{unit}"
    return [_figures(row.ours, row.unit), baseline, figure, wanted, "yes" if row.met else "no"]


def _figures(samples: Any, unit: str) -> str:
    middle, least, most = spread(samples)
    return f"{middle:.4g} {unit} ({least:.4g} to {most:.4g})" if len(samples) > 1 else f"{middle:.4g} {unit}"


def _grown(item: Growth) -> str:
    videos = ", ".join(f"{count:,}" for count in item.videos)
    costs = ", ".join(f"{cost:.3g}" for cost in item.cost)
    return f"| {item.stage} | {videos} | {costs} {item.unit} | {item.exponent:.2f} |"


def _plain(found: Measured) -> Dict[str, Any]:
    plain = asdict(found)
    for row, item in zip(found.rows, plain["rows"]):
        item.update(figure=row.figure, figures=list(row.figures), met=row.met)
    for growth, item in zip(found.growths, plain["growths"]):
        item.update(exponent=growth.exponent)
    return plain


def missed(found: Measured) -> List[Row]:
    """Return the rows that are not as asked."""
    return [row for row in found.rows if not row.met]


def _note(row: Row, rounds: int) -> str:
    """Return a row's note, with the number of its rounds where it has another one; a single one is its own affair."""
    own = len(row.ours)
    return row.note if own in (1, rounds) else f"{row.note}; {own} rounds"
