"""What every stage's command line has in common: option spelling, errors in one line, exit codes."""

from __future__ import annotations

import argparse
import errno
import os
import re
import signal
import sys
from typing import Any, Callable, Dict, List, NoReturn, Optional, Sequence

from clip2om.pipeline import streams
from clip2om.pipeline.console import Console, shortened, visible
from clip2om.pipeline.errors import RequestError, last_line
from clip2om.pipeline.places import ROOT
from clip2om.pipeline.wording import local

# In the environment: a fault is told with its stack trace too.
TRACE = "CLIP2OM_TRACE"
_INTERRUPTED = 130
_LONGEST_LINE = 2000
_DIGITS = 15
# Signals that asked this process to end.
_ended_by: List[int] = []


class Parser(argparse.ArgumentParser):
    """An argument parser that takes the recipes' underscore spelling too, and whose errors are one line."""

    def __init__(self, *args: Any, **texts: Any) -> None:
        streams.open_missing()
        here: Dict[str, Any] = {key: local(text) if isinstance(text, str) else text for key, text in texts.items()}
        super().__init__(*args, **here)

    def parse_args(self, args: Optional[Sequence[str]] = None, namespace=None):  # type: ignore[no-untyped-def,override]
        """Parse ``args`` (default: the process's), reading ``--video_path`` as ``--video-path``."""
        given = sys.argv[1:] if args is None else args
        return super().parse_args([_hyphens(arg) for arg in given], namespace)

    def error(self, message: str) -> NoReturn:
        """Exit with 2 and one line that names the help."""
        self.exit(2, visible(shortened(f"{self.prog}: error: {message}; see {self.prog} --help", _LONGEST_LINE)) + "\n")


def _hyphens(arg: str) -> str:
    match = re.match(r"--[a-z][a-z0-9_-]*(?==|$)", arg)
    return arg if match is None else match.group().replace("_", "-") + arg[match.end() :]


def stage_parser(stage: str, description: str, example: str) -> Parser:
    """Return a parser with the options that all stages share: --model, --set and --quiet."""
    parser = Parser(
        prog=f"python -m {stage}",
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--model", default="3d_resnet", metavar="CARD", help="model card: a name of models/ or a file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a card entry, e.g. model.depth=18"
    )
    parser.add_argument("--quiet", action="store_true", help="only warnings and results")
    return parser


def positive(text: str) -> int:
    """Argparse type: an integer of 1 or more."""
    if not _is_count(text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of 1 or more")
    return int(text)


def count(text: str) -> int:
    """Argparse type: an integer of 0 or more."""
    if not _is_count(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of 0 or more")
    return int(text)


def _is_count(text: str) -> bool:
    """True for decimal digits, few enough for what counts things."""
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS


def fraction(text: str) -> float:
    """Argparse type: a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def run(prog: str, body: Callable[[], int]) -> int:
    """Call ``body`` and turn whatever it raises into one line on stderr and an exit code.

    Returns:
        The body's code; 1 where a gate was missed, 2 where the request or the environment is wrong, something cannot be
        written or this program has a fault, 130 on Ctrl-C.
    """
    streams.open_missing()
    # A closed terminal ends a run as kill and Ctrl-C do; under nohup it stays ignored.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _terminate)
    try:
        code = body()
    except BaseException as error:
        if isinstance(error, (SystemExit, GeneratorExit)):
            raise
        code = _failed(prog, error)
    lost = streams.finish()
    return code if lost is None else _fail(prog, lost, code or RequestError.exit_code)


def _failed(prog: str, error: BaseException) -> int:
    # What a library makes of an interrupt in its middle is an interrupt all the same.
    if isinstance(error, KeyboardInterrupt) or _ended_by:
        return _fail(prog, "interrupted; run the same command again to resume", _INTERRUPTED)
    if isinstance(error, ImportError):
        from clip2om.pipeline.missing import refuse_import

        try:
            error = refuse_import(error)
        except ImportError as own:
            error = own
    if isinstance(error, RequestError):
        return _fail(prog, error.line(), error.exit_code)
    return _fail(prog, _words(error), RequestError.exit_code)


def _words(error: BaseException) -> str:
    """Return what to say of an exception that nobody on its way has turned into words."""
    if isinstance(error, MemoryError):
        return "there is not enough memory; give it more, or run with fewer --workers or a smaller --batch"
    if isinstance(error, RecursionError):
        return "something in the input is nested too deep; check the files that were given"
    if isinstance(error, OSError) and error.errno is not None:
        return explain(error)
    if os.environ.get(TRACE):
        import traceback

        traceback.print_exception(type(error), error, error.__traceback__)
    return (
        f"a fault of clip2om, or a library's: {type(error).__name__} ({last_line(error)}) at {_place(error)}; "
        f"report it with what {TRACE}=1 shows"
    )


def _place(error: BaseException) -> str:
    """Return the line of this project that an exception came through last."""
    found, trace = "an unknown place", error.__traceback__
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        if path.startswith(str(ROOT)) and path != __file__:
            found = f"{os.path.relpath(path, ROOT)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _terminate(number: int, _frame: object) -> NoReturn:
    _ended_by.append(number)
    raise KeyboardInterrupt


def _fail(prog: str, line: str, code: int) -> int:
    Console._write(sys.stderr, shortened(f"{prog}: error: {line}", _LONGEST_LINE))
    return code


def explain(error: OSError) -> str:
    """Return what a failed system call means, on which file, and what to do."""
    where = f"{error.filename}: " if error.filename else ""
    todo = {
        errno.ENOSPC: "free some space or choose another --output; finished files are kept, run again to resume",
        errno.EDQUOT: "your quota is used up; finished files are kept, run again to resume",
        errno.EACCES: "check the permissions",
        errno.EROFS: "choose a writable --output",
        errno.ENOENT: "check the path",
    }.get(error.errno or 0, "check the path and the disk")
    return f"{where}{(error.strerror or str(error)).lower()}; {todo}"


def shell(parts: Sequence[str]) -> str:
    """Return a command as one line that can be pasted into a shell."""
    import shlex

    return " ".join(shlex.quote(part) for part in parts)


def split_list(text: str) -> List[str]:
    """Return the comma-separated words of ``text``."""
    return [word for word in text.split(",") if word]
