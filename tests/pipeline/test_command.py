"""Options, errors and exit codes, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from io import StringIO

import pytest

from clip2om.pipeline.command import stage_parser
from clip2om.pipeline.console import Console, duration, format_table, size
from clip2om.pipeline.errors import RequestError
from tests.command import ROOT

_RUN = """
import sys
from clip2om.pipeline.command import run
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError, ShortfallError
def body():
    {statement}
sys.exit(run("stage", body))
"""


def _body(statement: str) -> subprocess.CompletedProcess:
    code = _RUN.format(statement=statement)
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("statement", "code", "line"),
    [
        ("return 0", 0, ""),
        ("raise RequestError('no such thing', 'a.json', 'make it')", 2, "a.json: no such thing; make it"),
        ("raise RequestError('two\\nlines')", 2, "two lines"),
        ("raise ShortfallError('top-1 is 0.5, asked for 0.9')", 1, "top-1 is 0.5, asked for 0.9"),
        ("raise KeyboardInterrupt", 130, "interrupted; run the same command again to resume"),
        ("open('/nowhere/x')", 2, "/nowhere/x: no such file or directory; check the path"),
        ("import errno; raise OSError(errno.ENOSPC, 'No space left on device', 'x.bin')", 2, "x.bin: no space left"),
    ],
)
def test_exit_codes_and_one_line(statement: str, code: int, line: str) -> None:
    done = _body(statement)
    assert done.returncode == code
    assert done.stderr.count("\n") == (1 if line else 0)
    assert done.stderr.startswith(f"stage: error: {line}" if line else "")


def test_a_fault_of_our_own_is_one_line_and_a_trace_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    done = _body("return {}['x']")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("stage: error: a fault of clip2om, or a library's: KeyError ('x') at ")
    monkeypatch.setenv("CLIP2OM_TRACE", "1")
    assert "Traceback" in _body("return {}['x']").stderr


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("raise MemoryError", "there is not enough memory"),
        ("return (lambda f: f(f))(lambda f: f(f))", "nested too deep"),
        ("raise OSError('a library says so')", "a fault of clip2om, or a library's: OSError (a library says so)"),
    ],
)
def test_what_is_left_is_one_line_too(statement: str, words: str) -> None:
    done = _body(statement)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert words in line


def test_closed_pipe_is_no_error() -> None:
    code = _RUN.format(statement="return [Console('x').result('line') for _ in range(99999)] and 0")
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" | head -n 1', sys.executable, code], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("line\n", "")


def test_underscores_in_option_names_but_not_in_values() -> None:
    parser = stage_parser("stage", "text", "example")
    parser.add_argument("--video-path")
    assert parser.parse_args(["--video_path", "a_b"]).video_path == "a_b"
    assert parser.parse_args(["--video_path=--x_y"]).video_path == "--x_y"


def test_progress_without_a_terminal_is_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clip2om.pipeline.console._LINE_S", 0.0)
    err = StringIO()
    with Console("stage", err=err).progress(3, "clips") as progress:
        progress.advance()
        progress.advance(2)
    assert err.getvalue().count("\n") == 2
    assert "3/3 clips" in err.getvalue()
    assert "\r" not in err.getvalue()


def test_time_left_is_shown_once_it_is_worth_something(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    err = StringIO()
    with Console("stage", err=err).progress(500, "clips") as progress:
        for now, done in ((9.0, 1), (20.0, 19), (40.0, 80)):
            clock[0] = now
            progress.advance(done)
    first, second, third = err.getvalue().splitlines()
    assert "left" not in first
    assert "left" in second and "left" in third
    assert third.endswith("2 min 40 s left")


def test_progress_on_a_terminal_is_redrawn() -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    err = Terminal()
    with Console("stage", err=err).progress(2, "clips") as progress:
        progress.advance(2)
    assert err.getvalue().count("\r") == 2
    assert "[########################] 2/2 clips" in err.getvalue()


def test_quiet_shows_results_and_warnings_only() -> None:
    out, err = StringIO(), StringIO()
    console = Console("stage", quiet=True, out=out, err=err)
    console.say("working")
    console.warn("careful")
    console.result("done")
    assert (out.getvalue(), err.getvalue()) == ("done\n", "stage: warning: careful\n")


def test_table_and_units() -> None:
    assert format_table(["a", "b"], [["long", "1"], ["x", "22"]]) == ["a      b", "----  --", "long   1", "x     22"]
    assert [size(value) for value in (0, 999, 1000, 36_849_254_400)] == ["0 B", "999 B", "1.0 kB", "36.8 GB"]
    assert [duration(value) for value in (8.4, 65, 7800)] == ["8 s", "1 min 05 s", "2 h 10 min"]


def test_names_do_not_command_the_terminal() -> None:
    out = StringIO()
    Console("stage", out=out).result("red \x1b[31m, back \r, bell \x07, c1 \x9b, \ttab, 动作\nnext")
    assert out.getvalue() == "red \\x1b[31m, back \\r, bell \\x07, c1 \\x9b, \ttab, 动作\nnext\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("give --checkpoint FILE", "give CHECKPOINT=FILE"),
        ("check --checkpoint and --set", "check CHECKPOINT and SET"),
        ("use --set model.depth=18", "use SET=model.depth=18"),
        ("leave out --strict to skip such videos", "leave out STRICT=1 to skip such videos"),
        ("preprocess again with --dtype uint8", "preprocess again with DTYPE=uint8"),
        ("--checkpoints and a--checkpoint stay", "--checkpoints and a--checkpoint stay"),
    ],
)
def test_advice_names_the_variables_where_make_was_the_door(
    text: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIP2OM_DOOR", "--checkpoint=CHECKPOINT --set=SET --strict=STRICT=1 --dtype=DTYPE")
    assert RequestError(text).line() == shown
    monkeypatch.delenv("CLIP2OM_DOOR")
    assert RequestError(text).line() == text
