"""``clip2om COMMAND``, ``python -m clip2om COMMAND``, and through ``clip2om make TARGET`` the door that make is."""

from __future__ import annotations

import sys
from typing import List, Optional, Sequence

from clip2om import __version__
from clip2om.commands import Command, by_name
from clip2om.pipeline.command import run
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.values import Values, environment, from_arguments, from_make, look_alikes, suggestion, unused

TARGET = "CLIP2OM_TARGET"


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the front end and return its exit code: 0 done, 1 a result fell short, 2 the request is wrong."""
    words = list(sys.argv[1:] if argv is None else argv)
    return run("clip2om", lambda: _main(words))


def _main(words: List[str]) -> int:
    from clip2om import texts

    if not words or words[0] in ("help", "-h", "--help"):
        sys.stdout.write(texts.overview())
        return 0
    if words[0] == "--version":
        sys.stdout.write(f"clip2om {__version__}\n")
        return 0
    if words[0] == "completion":
        sys.stdout.write(texts.completion(words[1:]))
        return 0
    if words[0] == "make":
        return _from_make(environment().get(TARGET, "help"))
    command = _command(words[0])
    return perform(command, from_arguments(command, words[1:]))


def _from_make(target: str) -> int:
    from clip2om import texts

    console = Console("clip2om")
    if target == "help":
        sys.stdout.write(texts.targets())
        return 0
    command = _command(target)
    values = from_make(command, environment())
    for name in unused(command, environment()):
        console.warn(f"{name} does nothing in make {target}")
    for line in look_alikes(command, environment()):
        console.warn(line)
    return perform(command, values)


def _command(name: str) -> Command:
    known = by_name()
    if name not in known:
        raise RequestError(f"there is no command {name!r}", None, suggestion(name, known) or "clip2om help lists them")
    return known[name]


def perform(command: Command, values: Values) -> int:
    """Carry out a command; return its exit code."""
    from clip2om import beside, chain_command, commands, developer

    if command in commands.CHAIN:
        _with_toml(command, values)
        return chain_command.perform(command, values)
    if command in commands.DEVELOPER:
        return developer.perform(command, values)
    return beside.perform(command, values)


def _with_toml(command: Command, values: Values) -> None:
    """Go on in the core environment where this Python cannot read cards: before 3.11 that takes tomli.

    Does not return where it does.
    """
    import os
    from importlib.util import find_spec

    from clip2om.environments import Environments
    from clip2om.process import environ_of

    if sys.version_info >= (3, 11) or find_spec("tomli") or "PYTHON" in values:
        return
    environments = Environments.of("", values.one("VENV"), values.one("VENV_PYTHON"))
    environments.check(["core"])
    environments.prepare("core", Console("clip2om", "QUIET" in values))
    python = environments.interpreter("core")
    found = {**os.environ, "PYTHONPATH": environ_of(environments)["PYTHONPATH"]}
    # Environments are still made with this Python.
    extra = {} if "VENV_PYTHON" in values else {"CLIP2OM_MAKER": sys.executable}
    arguments = ["make"] if values.make else [command.name, *sys.argv[2:]]
    sys.stdout.flush()
    os.execve(python, [python, "-m", "clip2om", *arguments], {**found, **extra})


if __name__ == "__main__":
    sys.exit(main())
