"""What every stage's command line has in common: option spelling, errors in one line, exit codes."""

from __future__ import annotations

import argparse
import errno
import os
import re
import signal
import sys
from typing import Any, Callable, Dict, List, NoReturn, Optional, Sequence

from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.wording import local

_INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """An argument parser that takes the recipes' underscore spelling too, and whose errors are one line."""

    def __init__(self, *args: Any, **texts: Any) -> None:
        here: Dict[str, Any] = {key: local(text) if isinstance(text, str) else text for key, text in texts.items()}
        super().__init__(*args, **here)

    def parse_args(self, args: Optional[Sequence[str]] = None, namespace=None):  # type: ignore[no-untyped-def,override]
        """Parse ``args`` (default: the process's), reading ``--video_path`` as ``--video-path``."""
        given = sys.argv[1:] if args is None else args
        return super().parse_args([_hyphens(arg) for arg in given], namespace)

    def error(self, message: str) -> NoReturn:
        """Exit with 2 and one line that names the help."""
        self.exit(2, f"{self.prog}: error: {message}; see {self.prog} --help\n")


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
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of 1 or more")
    return int(text)


def count(text: str) -> int:
    """Argparse type: an integer of 0 or more."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of 0 or more")
    return int(text)


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
    """Call ``body`` and turn what it raises into one line on stderr and an exit code.

    Returns:
        The body's code; 1 where a gate was missed, 2 where the request or the environment is wrong, 130 on Ctrl-C.
    """
    # A closed terminal ends a run as kill and Ctrl-C do; under nohup it stays ignored.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _terminate)
    try:
        return body()
    except RequestError as error:
        return _fail(prog, error.line(), error.exit_code)
    except ImportError as error:
        from clip2om.pipeline.missing import refuse_import

        return _fail(prog, refuse_import(error).line(), RequestError.exit_code)
    except KeyboardInterrupt:
        return _fail(prog, "interrupted; run the same command again to resume", _INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone (for example `| head`): nothing is left to tell it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _fail(prog, explain(error), RequestError.exit_code)


def _terminate(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _fail(prog: str, line: str, code: int) -> int:
    Console(prog)._write(sys.stderr, f"{prog}: error: {line}")
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
