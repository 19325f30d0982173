"""Misuse that real software does not report: recorded in a file, and raised."""

from __future__ import annotations

import sys

from _cann_sim import knobs


class ContractViolation(Exception):  # noqa: N818 - what it is called in the contract
    """The caller broke a documented rule whose breach real software answers with silence or corruption."""


def record(text: str) -> None:
    """Write one line to the file CANN_SIM_VIOLATIONS, or to stderr where that is unset."""
    if not knobs.append_line("VIOLATIONS", text):
        sys.stderr.write(f"cann_sim: contract violation: {text}\n")


def violate(text: str) -> ContractViolation:
    """Record ``text`` and return the exception to raise."""
    record(text)
    return ContractViolation(text)


def warn(text: str) -> None:
    """Note something legal but suspicious in the file CANN_SIM_WARNINGS, if that is set."""
    knobs.append_line("WARNINGS", text)
