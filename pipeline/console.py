"""What a stage shows a person: lines, a progress bar, a table. Results go to stdout, all else to stderr."""

from __future__ import annotations

import re
import sys
import time
from typing import Callable, List, Optional, Sequence, TextIO

from clip2om.pipeline import streams
from clip2om.pipeline.wording import local

_REDRAW_S = 0.1
_LINE_S = 8.0
# An estimate needs this long, and a fiftieth of the work, or twelve times as long.
_ESTIMATE_S = 5.0
_BAR = 24
# What commands a terminal, ends a line, or turns the direction of what follows.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
# Of a cell of a table, and of a line that tells of something else than a result, in signs.
_CELL, _LINE = 60, 2000


class Console:
    """Output of one command; ``quiet`` leaves only warnings and results."""

    def __init__(self, prefix: str, quiet: bool = False, out: Optional[TextIO] = None, err: Optional[TextIO] = None):
        self.prefix = prefix
        self.quiet = quiet
        streams.open_missing()
        self._out = out or sys.stdout
        self._err = err or sys.stderr

    def say(self, line: str) -> None:
        """Show what is being done; left out by --quiet."""
        if not self.quiet:
            self._write(self._err, shortened(f"{self.prefix}: {line}", _LINE))

    def warn(self, line: str) -> None:
        """Show what the user should know even with --quiet."""
        self._write(self._err, shortened(f"{self.prefix}: warning: {line}", _LINE))

    def result(self, line: str = "") -> None:
        """Show what was asked for."""
        self._write(self._out, line)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show rows under a head as a result; first column left, the others right."""
        for line in format_table(head, rows):
            self.result(line)

    def progress(self, total: int, unit: str, note: Optional[Callable[[], str]] = None) -> Progress:
        """Return a progress display over ``total`` units; ``note`` is asked for more to say at the end of the line."""
        return Progress(self, total, unit, note)

    def live(self) -> bool:
        """True where a bar can be redrawn in place."""
        return not self.quiet and not self._err.closed and self._err.isatty()

    def redraw(self, line: str, end: str = "") -> None:
        """Replace the current terminal line."""
        streams.write(self._err, f"\r\x1b[K{line}{end}")

    @staticmethod
    def _write(stream: TextIO, line: str) -> None:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        # A terminal that cannot show a sign gets a question mark instead of a stack trace. Names of files and classes
        # may hold what commands a terminal: it is shown, not sent.
        streams.write(stream, visible(local(line)).encode(encoding, "replace").decode(encoding) + "\n")


def visible(text: str) -> str:
    """Return ``text`` with its control characters spelled out, all but line ends and tabs.

    Those that turn the direction of writing, and the separators of lines that are no line ends, are such too.
    """
    return _CONTROL.sub(lambda match: ascii(match.group())[1:-1], text)


def shortened(text: str, most: int) -> str:
    """Return ``text`` in at most ``most`` signs: the beginning and the end of a longer one, three points between."""
    if len(text) <= most:
        return text
    tail = (most - 3) // 3
    return f"{text[: most - 3 - tail]}...{text[-tail:]}"


class Progress:
    """A bar with rate and time left on a terminal, a line every ten seconds elsewhere, nothing with --quiet."""

    def __init__(self, console: Console, total: int, unit: str, note: Optional[Callable[[], str]] = None) -> None:
        self._console = console
        self._total = total
        self._unit = unit
        self._note = note
        self._done = 0
        self._start = time.perf_counter()
        self._shown = self._start

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.live() and self._total:
            self._console.redraw(self._line(), end="\n")

    def advance(self, count: int = 1) -> None:
        """Count ``count`` more units as done."""
        self._done += count
        now = time.perf_counter()
        if self._console.live():
            if now - self._shown >= _REDRAW_S or self._done == self._total:
                self._shown = now
                self._console.redraw(self._line())
        elif now - self._shown >= _LINE_S:
            self._shown = now
            self._console.say(self._line())

    def remain(self, count: int) -> None:
        """Set how many units are still to do, where that has changed."""
        self._total = self._done + count

    def _line(self) -> str:
        elapsed = max(time.perf_counter() - self._start, 1e-9)
        rate = self._done / elapsed
        filled = _BAR * self._done // max(self._total, 1)
        bar = "#" * filled + "." * (_BAR - filled)
        head = f"[{bar}] {self._done}/{self._total} {self._unit}"
        note = f"; {self._note()}" if self._note else ""
        return f"{head}, {rate:.1f} {self._unit}/s{self._left(elapsed)}{note}"

    def _left(self, elapsed: float) -> str:
        """Return the time left once it is worth something: start-up and the first file say little of the others."""
        enough = (
            self._done and elapsed >= _ESTIMATE_S and (self._done * 50 >= self._total or elapsed >= 12 * _ESTIMATE_S)
        )
        return f", {duration((self._total - self._done) * elapsed / self._done)} left" if enough else ""


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> List[str]:
    """Return the lines of a plain-text table: first column left, the others right; long cells are cut."""
    cells = [[shortened(visible(cell), _CELL) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    rule = "  ".join("-" * width for width in widths)
    lines = []
    for row in cells:
        first = row[0].ljust(widths[0])
        rest = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join([first, *rest]).rstrip())
    return [lines[0], rule, *lines[1:]]


def duration(seconds: float) -> str:
    """Return seconds as text: 8 s, 3 min 05 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(count: float) -> str:
    """Return a number of bytes as text in decimal units: 36.8 GB."""
    units = ("B", "kB", "MB", "GB", "TB")
    step = 0
    while count >= 999.95 and step < len(units) - 1:
        count /= 1000
        step += 1
    return f"{count:.0f} {units[step]}" if step == 0 else f"{count:.1f} {units[step]}"
