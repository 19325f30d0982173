"""What an option is, and the checks of values that several options share."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, field
from typing import Callable, Dict, Tuple

from clip2om.pipeline.command import fraction, positive

Check = Callable[[str], object]


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        variable: Its name in make, in capitals.
        metavar: What its value is, in a word; empty for a switch.
        help: One line for a person.
        flags: What it is called by each stage or script that takes it.
        check: Raises argparse.ArgumentTypeError for a value that cannot be meant.
        remembered: Later commands of the same model take it too.
        words: It may be given several times; in make as words with blanks between them.
    """

    variable: str
    metavar: str
    help: str
    flags: Dict[str, str] = field(default_factory=dict)
    check: Check = str
    remembered: bool = False
    words: bool = False

    @property
    def flag(self) -> str:
        """Its name on the command line of clip2om."""
        return "-k" if self.variable == "K" else "--" + self.variable.lower().replace("_", "-")

    @property
    def switch(self) -> bool:
        """True where it takes no value."""
        return not self.metavar


def one_of(*choices: str) -> Check:
    """Return a check for one of ``choices``."""

    def check(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"{text!r} is not one of: {', '.join(choices)}")
        return text

    return check


def share(text: str) -> float:
    """Check a number from 0 to 1, and tell those who wrote per cent."""
    try:
        return fraction(text)
    except argparse.ArgumentTypeError:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%?", text.strip())
        if match and 1 < float(match[1]) <= 100:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a number from 0 to 1; did you mean {float(match[1]) / 100:g}?"
            ) from None
        raise


def number(text: str) -> float:
    """Check a number of 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return value


def sizes(text: str) -> Tuple[int, ...]:
    """Check one batch size or several with commas between them, each once."""
    try:
        found = tuple(positive(word) for word in text.split(","))
    except argparse.ArgumentTypeError:
        found = ()
    if not found or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"{text!r} is not a batch size such as 10, or several such as 1,4,8")
    return found


def devices(text: str) -> Tuple[int, ...]:
    """Check device numbers with commas between them, each once."""
    words = text.split(",")
    if not all(word.isdigit() for word in words) or len(set(words)) < len(words):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of different device numbers such as 0,1")
    return tuple(int(word) for word in words)


def override(text: str) -> str:
    """Check an entry of a card, section.key=value."""
    if not re.match(r"[a-z0-9_]+\.[a-z0-9_.]+=", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not section.key=value, for example model.depth=18")
    return text
