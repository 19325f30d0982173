"""Calling a stage from a program: its options, its output, its errors."""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
from pathlib import Path
from typing import Callable, Iterator, List, Sequence, Union

from clip2om.api.results import Batches, Card, Graph, Model, Run
from clip2om.pipeline.errors import RequestError

PathLike = Union[str, Path]
_LOG = logging.getLogger("clip2om")


def card_words(card: Card) -> List[object]:
    """Return the words that choose a card."""
    return ["--model", card.model, *(word for entry in card.overrides for word in ("--set", entry))]


def option(name: str, value: object) -> List[object]:
    """Return an option as one word, none where its value is the default."""
    # One word, so that a value may begin with a hyphen.
    return [] if value is None else [f"{name}={value}"]


def switch(name: str, given: bool) -> List[object]:
    """Return a switch, if it is given."""
    return [name] if given else []


def folder_of(made: Union[Graph, Batches, Model, Run, PathLike]) -> Path:
    """Return the folder of what a step made, or the one that was given."""
    return Path(made) if isinstance(made, (str, Path)) else made.folder


def parsed(parser: argparse.ArgumentParser, words: Sequence[object]) -> argparse.Namespace:
    """Return the options of a stage; what its parser refuses is an error of the request, not the program's end."""

    def refuse(message: str) -> None:
        raise RequestError(message, "clip2om.api")

    error: Callable[[str], None] = refuse
    parser.error = error  # type: ignore[method-assign, assignment]
    return parser.parse_args([str(word) for word in words])


class _Log(io.TextIOBase):
    """A stream whose lines go to the logger ``clip2om``."""

    def __init__(self, level: int) -> None:
        self._level, self._line = level, ""

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            _LOG.log(logging.WARNING if ": warning: " in line else self._level, "%s", line)
        return len(text)


@contextlib.contextmanager
def telling() -> Iterator[None]:
    """Send what a stage prints to the logger, and every error of its request or surroundings to the caller."""
    from clip2om.pipeline.command import explain
    from clip2om.pipeline.missing import refuse_import

    try:
        with contextlib.redirect_stdout(_Log(logging.INFO)), contextlib.redirect_stderr(_Log(logging.INFO)):
            yield
    except ImportError as error:
        raise refuse_import(error) from error
    except OSError as error:
        raise RequestError(explain(error)) from error
