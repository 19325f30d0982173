"""What an installation of ais_bench understands, read from its ``--help``; and why one cannot be started."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Dict, FrozenSet, Iterator, List, Mapping, Optional

from clip2om.infer.engines.base import EngineMissingError
from clip2om.infer.engines.om import library_remedy
from clip2om.pipeline.command import shell

_TIMEOUT_S = 120
_FIND = "import importlib.util as u, sys; sys.exit(u.find_spec('ais_bench') is None)"
_WHEELS = "install the ais_bench and aclruntime wheels of this CANN and Python"
_MODULE = re.compile(r"No module named '?([A-Za-z_][\w.]*)")
# Of a help text: the frame of a table, the mark of a required option, what separates columns, and an option.
_FRAME = re.compile(r"^\s*[│|]?\s*\*?\s*")
_COLUMNS = re.compile(r"\s{2,}")
_OPTION = re.compile(r"--?([A-Za-z][\w-]*)")
# Deeper down stand descriptions that were wrapped.
_DEEPEST = 12
# A help text is set to the width of the terminal, words are cut and wrapped; colours and the encoding are its own too.
_PLAIN = {"COLUMNS": "1000", "TERMINAL_WIDTH": "1000", "NO_COLOR": "1", "TERM": "dumb"}
_UTF8 = {"PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"}


@dataclass(frozen=True)
class Dialect:
    """What this installation understands.

    Attributes:
        options: Its long options as it spells them, without the hyphens before: ``output_dirname``.
    """

    options: FrozenSet[str]

    @classmethod
    def of(cls, text: str) -> Dialect:
        """Read a help text: options stand at the beginning of a line, never in a description."""
        return cls(frozenset(name for line in text.splitlines() for name in _options(line)))

    @property
    def strict(self) -> bool:
        """True for the later generation, which checks paths and permissions."""
        return self.knows("divide_input")

    def knows(self, option: str) -> bool:
        """True where there is an option of that name."""
        return self._spelled(option) is not None

    def spell(self, option: str) -> str:
        """Return ``--option`` as this installation writes it: with underscores, hyphens or capitals."""
        return f"--{self._spelled(option) or option}"

    def _spelled(self, option: str) -> Optional[str]:
        return next((name for name in sorted(self.options) if _plain(name) == _plain(option)), None)


def _plain(name: str) -> str:
    return re.sub(r"[-_]", "", name).lower()


def _options(line: str) -> Iterator[str]:
    """Yield the long options that a line of a help text introduces."""
    start = _FRAME.match(line)
    begin = start.end() if start else 0
    if begin > _DEEPEST:
        return
    for column in _COLUMNS.split(line[begin:]):
        if not column.startswith("-"):
            return
        for word in column.split(","):
            found = _OPTION.match(word.strip())
            if found and word.strip().startswith("--"):
                yield found.group(1)


def environment(base: Mapping[str, str]) -> Dict[str, str]:
    """Return ``base`` so that the tool can print its own messages, whatever the locale."""
    return {**base, **_UTF8}


def find_python() -> Optional[str]:
    """Return the interpreter that has the package: this one, else the python3 of the PATH, else None."""
    if find_spec("ais_bench") is not None:
        return sys.executable
    other = shutil.which("python3")
    return other if other is not None and _has_it(other, os.environ.get("PYTHONPATH", "")) else None


@functools.lru_cache(maxsize=4)
def _has_it(python: str, _modules: str) -> bool:
    """Ask another interpreter, once per PYTHONPATH: this is asked for every run of the tool."""
    return _run([python, "-c", _FIND]).returncode == 0


@functools.lru_cache(maxsize=4)
def dialect_of(python: str) -> Dialect:
    """Start the tool once, for its help.

    Raises:
        EngineMissingError: it cannot be started; names the module or library that is missing.
    """
    done = _run([python, "-m", "ais_bench", "--help"])
    found = Dialect.of(done.stdout)
    if done.returncode or not found.knows("model"):
        text = done.stderr or done.stdout
        lines = text.strip().splitlines() or ["no output"]
        raise EngineMissingError(f"ais_bench cannot be started ({lines[-1].strip()})", python, remedy(text, python))
    return found


def remedy(text: str, python: str) -> str:
    """Return what to do where the tool ended with ``text``: its last line says what is missing."""
    named = _MODULE.findall(text)
    module = named[-1].partition(".")[0] if named else ""
    if module in ("ais_bench", "aclruntime"):
        return _WHEELS
    if module and module != "acl":
        return f"{python} -m pip install {_DISTRIBUTIONS.get(module, module)}"
    return library_remedy(text) or f"run it by hand: {shell([python, '-m', 'ais_bench', '--help'])}"


# Modules whose distribution has another name.
_DISTRIBUTIONS = {"pkg_resources": "'setuptools<82'", "google": "protobuf", "yaml": "pyyaml", "attr": "attrs"}


def _run(command: List[str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
            env={**environment(os.environ), **_PLAIN},
        )
    except subprocess.TimeoutExpired:
        raise EngineMissingError(
            f"does not answer within {_TIMEOUT_S:.0f} s", shell(command), "run it by hand to see why"
        ) from None
