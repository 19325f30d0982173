"""Help, completion and docs/commands.md, all from the tables of commands and options."""

from __future__ import annotations

from typing import Iterable, List, Sequence

from clip2om.commands import BESIDE, CHAIN, COMMANDS, DEVELOPER, Command
from clip2om.option import Option
from clip2om.options import OF_A_MODEL
from clip2om.pipeline.errors import RequestError

_WIDTH = 112
_GROUPS = (
    ("From checkpoint to accuracy", CHAIN),
    ("Beside it", BESIDE),
    ("In a checkout", DEVELOPER),
)


def overview() -> str:
    """Return what ``clip2om help`` shows."""
    lines = ["clip2om COMMAND [--option value ...]", ""]
    for title, group in _GROUPS:
        lines += [title, *(f"  {command.name:<16} {command.help}" for command in group), ""]
    lines += [
        "clip2om COMMAND --help lists its options. What a model was asked for is remembered in build/CARD/run.json.",
        "Exit codes: 0 done, 1 a result fell short of what was asked, 2 the request or the environment is wrong.",
    ]
    return "\n".join(lines) + "\n"


def targets() -> str:
    """Return what ``make help`` shows: the targets, and below each the variables that are its own."""
    lines = ["make TARGET [VARIABLE=value ...]", ""]
    for title, group in _GROUPS:
        lines.append(title)
        for command in group:
            lines.append(f"  {command.make_name:<16} {command.help}")
            lines += _wrapped([_variable(option) for option in command.own], " " * 19)
        lines.append("")
    lines.append("Everywhere")
    lines += [f"  {option.variable:<16} {option.help}" for option in OF_A_MODEL]
    lines += ["", "Cards"]
    lines += _wrapped(_cards(), "  ")
    lines += [
        "",
        "make help shows this list. Variables are remembered in build/CARD/run.json: the",
        "model's next target takes them; VARIABLE= forgets one.",
        "make ends with 2 whatever went wrong; clip2om COMMAND ends with 1 where a gate was missed, 2 otherwise.",
    ]
    return "\n".join(lines) + "\n"


def _variable(option: Option) -> str:
    return f"{option.variable}=1" if option.switch else option.variable


def _cards() -> List[str]:
    from clip2om.pipeline.cards import available

    return available()


def _wrapped(words: Iterable[str], indent: str) -> List[str]:
    lines: List[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) < _WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(indent + word)
    return lines


def completion(words: Sequence[str]) -> str:
    """Return a script that completes commands and options in bash.

    Raises:
        RequestError: another shell.
    """
    if list(words) not in ([], ["bash"]):
        raise RequestError(f"no completion for {words[0]!r}", None, "clip2om completion bash")
    cases = "\n".join(
        f"    {command.name}) words='{' '.join(option.flag for option in command.options)}' ;;" for command in COMMANDS
    )
    names = " ".join(command.name for command in COMMANDS)
    return f"""# source <(clip2om completion bash)
_clip2om() {{
  local words='{names}' current="${{COMP_WORDS[COMP_CWORD]}}"
  if [ "$COMP_CWORD" -gt 1 ]; then
    words=
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
    case "$current" in -*) ;; *) COMPREPLY=(); return ;; esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _clip2om clip2om
"""


def page() -> str:
    """Return docs/commands.md."""
    lines = [
        "# Commands and options",
        "",
        "Written by `make docs` from the tables in clip2om/commands.py and clip2om/options.py.",
        "",
        "A command is `clip2om NAME --option value`, or `make TARGET VARIABLE=value` in a checkout. Options marked ↻",
        "are remembered in `build/CARD/run.json`: later commands of that model take them and say so; `VARIABLE=` (or",
        "`--option ''`) forgets one. make ends with 2 whatever went wrong; `clip2om` ends with 1 where a gate was",
        "missed and with 2 where the request or the environment is wrong.",
        "",
        *_table("Everywhere", OF_A_MODEL),
    ]
    for title, group in _GROUPS:
        lines += [f"## {title}", ""]
        for command in group:
            lines += _section(command)
    return "\n".join(lines).rstrip() + "\n"


def _section(command: Command) -> List[str]:
    name = f"### {command.name}" + (f" (make {command.make_name})" if command.make_name != command.name else "")
    body = [name, "", command.help[0].upper() + command.help[1:] + ".", ""]
    if command.example:
        body += [f"    {command.example}", ""]
    return body + (_table("", command.own) if command.own else [])


def _table(title: str, options: Sequence[Option]) -> List[str]:
    lines = [f"## {title}", ""] if title else []
    lines += ["| variable | option | | |", "| --- | --- | --- | --- |"]
    for option in options:
        metavar = f" {option.metavar}" if option.metavar else ""
        flag = option.flag + metavar
        lines.append(f"| `{option.variable}` | `{flag}` | {'↻' if option.remembered else ''} | {_cell(option.help)} |")
    return [*lines, ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
