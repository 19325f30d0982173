"""What a call asks for, from a command line or from make's variables; every value is checked before anything starts."""

from __future__ import annotations

import argparse
import difflib
import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from clip2om.commands import Command, all_variables
from clip2om.option import Option
from clip2om.pipeline.errors import RequestError

# What Makefile names: the variables of its command line, with blanks between them.
GIVEN = "CLIP2OM_GIVEN"


@dataclass(frozen=True)
class Values:
    """Options by variable; a switch that is on has the value ("1",), an option that is to be forgotten ().

    Attributes:
        make: True where make was the door: advice then speaks of variables.
    """

    found: Dict[str, Tuple[str, ...]] = field(default_factory=dict)
    make: bool = False

    def __contains__(self, variable: str) -> bool:
        return bool(self.found.get(variable))

    def one(self, variable: str, default: str = "") -> str:
        """Return the value of an option, ``default`` where it was not given."""
        return self.found[variable][0] if variable in self else default

    def several(self, variable: str) -> Tuple[str, ...]:
        """Return all values of an option."""
        return self.found.get(variable, ())

    def name(self, variable: str) -> str:
        """Return what an option is called at this door: ``CHECKPOINT`` or ``--checkpoint``."""
        return variable if self.make else all_variables()[variable].flag

    def spelled(self, variable: str, value: str) -> str:
        """Return how an option with its value is written at this door: ``K=5`` or ``-k 5``."""
        return f"{variable}={value}" if self.make else f"{all_variables()[variable].flag} {value}"


def from_make(command: Command, environ: Mapping[str, str]) -> Values:
    """Read the variables that make handed on in the environment.

    Raises:
        RequestError: a variable of the command line that is none of ours, or a value that cannot be meant.
    """
    given = environ.get(GIVEN, "").split()
    known = all_variables()
    for name in given:
        if name not in known:
            raise RequestError(f"there is no variable {name}", None, suggestion(name, known) or "make help lists them")
    options = {option.variable: option for option in command.options}
    found = {}
    for name, option in options.items():
        if name in given or environ.get(name):
            found[name] = _words(option, environ.get(name, ""))
    values = Values(found, make=True)
    check(command, values)
    return values


def unused(command: Command, environ: Mapping[str, str]) -> List[str]:
    """Return the variables of make's command line that the command has no use for."""
    mine = {option.variable for option in command.options}
    return [name for name in environ.get(GIVEN, "").split() if name in all_variables() and name not in mine]


def look_alikes(command: Command, environ: Mapping[str, str]) -> List[str]:
    """Return a line for each variable of the environment that is one letter away from an option of the command."""
    mine = [option.variable for option in command.options if len(option.variable) > 5]
    known = all_variables()
    lines = []
    for name in environ:
        close = difflib.get_close_matches(name, mine, n=1, cutoff=0.9) if name not in known else []
        if close:
            lines.append(f"the environment has {name}, which is none of ours; {close[0]} is")
    return lines


def _words(option: Option, text: str) -> Tuple[str, ...]:
    if not text:
        return ()
    if option.switch:
        return () if text in ("0", "no", "false") else ("1",)
    if not option.words or Path(text).exists():
        return (text,)
    try:
        return tuple(shlex.split(text))
    except ValueError:
        # A quote without its fellow is part of a name.
        return tuple(text.split())


def suggestion(name: str, known: Iterable[str]) -> Optional[str]:
    """Return ``did you mean ...?`` where a known name is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else None


def from_arguments(command: Command, given: Sequence[str]) -> Values:
    """Read a command line.

    Raises:
        RequestError: an unknown option, or a value that cannot be meant.
        SystemExit: --help was asked for.
    """
    parser = make_parser(command)
    given = [_hyphens(word) for word in given]
    args, rest = parser.parse_known_args(list(given))
    flags = [option.flag for option in command.options]
    for word in rest:
        name = word.partition("=")[0]
        hint = suggestion(name, flags) if word.startswith("-") else None
        raise RequestError(
            f"{command.name} takes no {word!r}", None, hint or f"clip2om {command.name} --help lists all"
        )
    found: Dict[str, Tuple[str, ...]] = {}
    for option in command.options:
        value = getattr(args, option.variable)
        if value is None or value is False or value == []:
            continue
        found[option.variable] = ("1",) if value is True else tuple(value) if isinstance(value, list) else (value,)
        if found[option.variable] == ("",):
            found[option.variable] = ()
    values = Values(found)
    check(command, values)
    return values


def _hyphens(word: str) -> str:
    head, equals, tail = word.partition("=")
    return head.replace("_", "-") + equals + tail if head.startswith("--") else word


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):  # type: ignore[no-untyped-def]
        raise RequestError(message, None, f"{self.prog} --help lists all options")


def make_parser(command: Command) -> argparse.ArgumentParser:
    """Return the parser of a command, made of the table."""
    parser = _Parser(
        prog=f"clip2om {command.name}",
        description=command.help,
        epilog=f"example: {command.example}" if command.example else None,
        allow_abbrev=False,
    )
    own = parser.add_argument_group("options of this command")
    common = parser.add_argument_group("options of all that is about a model" if command.about_a_model else "options")
    for option in command.options:
        group = own if option in command.own else common
        if option.variable in command.positional:
            many = "*" if option.words else "?"
            group.add_argument(option.variable, nargs=many, metavar=option.metavar, help=option.help)
        elif option.switch:
            group.add_argument(option.flag, dest=option.variable, action="store_true", help=option.help)
        else:
            action = "append" if option.words else "store"
            text = option.help.replace("%", "%%")
            group.add_argument(option.flag, dest=option.variable, action=action, metavar=option.metavar, help=text)
    return parser


def check(command: Command, values: Values) -> None:
    """Refuse values that cannot be meant.

    Raises:
        RequestError: naming the option as this door spells it.
    """
    options = {option.variable: option for option in command.options}
    for name, given in values.found.items():
        if options[name].switch:
            continue
        for value in given:
            try:
                options[name].check(value)
            except argparse.ArgumentTypeError as error:
                raise RequestError(str(error), values.name(name), None) from None


def environment() -> Mapping[str, str]:
    """Return this process's environment."""
    return os.environ
