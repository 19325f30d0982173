"""The two ways a command can end badly, each with its exit code."""

from __future__ import annotations

from typing import Any, Optional, Tuple

from clip2om.pipeline.wording import at_door, local

# Of a part of a message, in signs: a path of many folders still fits.
_LONGEST = 600


class RequestError(Exception):
    """The request or the environment is wrong; the command exits with 2.

    Args:
        what: What is wrong, with the value found and, where there is one, the value expected.
        where: The file, key or option concerned.
        todo: What the user can do about it, in the imperative.
    """

    exit_code = 2

    def __init__(self, what: str, where: Optional[object] = None, todo: Optional[str] = None) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.todo = todo
        super().__init__(self.line())

    def __reduce__(self) -> Tuple[Any, ...]:
        """Let the error come whole out of another process."""
        return type(self), (self.what, self.where, self.todo)

    def line(self) -> str:
        """Return the message as one line: what, where, what to do."""
        text = _bounded(self.what) if self.where is None else f"{_bounded(self.where)}: {_bounded(self.what)}"
        text = text if self.todo is None else f"{text}; {_bounded(self.todo)}"
        return at_door(local(" ".join(text.split())))


def _bounded(text: str) -> str:
    """Return the beginning and the end of a long part of a message: a value of a file may be of any length."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}...{text[-_LONGEST // 3 :]}"


class ShortfallError(RequestError):
    """A result fell short of what was asked (an accuracy or a parity gate); the command exits with 1."""

    exit_code = 1


def last_line(error: BaseException) -> str:
    """Return the last line of an exception's text, where libraries put the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
