"""What atc prints, in the form of CANN 8.x."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from typing import List, NoReturn

# [I from S] FAILED is 0xFFFFFFFF or -1: the shell sees 255.
EXIT_FAILED = 255


class Refused(Exception):  # noqa: N818
    """One error of atc: its code, its text, and the lines that follow it."""

    def __init__(self, code: str, text: str, *more: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text
        self.more = more

    def lines(self) -> List[str]:
        """The error block."""
        stamp = datetime.now().strftime("%Y-%m-%d-%H:%M:%S.%f")
        # [O] 8.x: microseconds in two groups.
        stamp = f"{stamp[:-3]}.{stamp[-3:]}"
        return [f"{self.code}: [PID: {os.getpid()}] {stamp} {self.text}", *[f"        {line}" for line in self.more]]


def bad_value(value: object, parameter: str, reason: str, code: str = "E10001") -> Refused:
    """The usual complaint about a value."""
    return Refused(code, f"Value [{value}] for parameter [{parameter}] is invalid. Reason: {reason}")


def say(*lines: str) -> None:
    """Print to stdout; errors go there too [O]."""
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


def start() -> None:
    """The first lines of every run that got through its flags."""
    say("ATC start working now, please wait for a moment.", "...")


def success() -> None:
    """The line without which nothing succeeded."""
    say("ATC run success, welcome to the next use.")


def failure(refused: Refused) -> int:
    """Print the error and return the exit status."""
    say("ATC run failed, Please check the detail log, Try 'atc --help' for more information", *refused.lines())
    return EXIT_FAILED


def flag_error(text: str) -> NoReturn:
    """End as getopt-like parsing does [S]: one line on stderr."""
    sys.stderr.write(f"ERROR: {text}\n")
    sys.exit(EXIT_FAILED)
