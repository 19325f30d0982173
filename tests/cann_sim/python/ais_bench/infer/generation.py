"""Which generation of ais_bench this host has, and how it talks."""

from __future__ import annotations

import sys

from _cann_sim import knobs


def is_second() -> bool:
    """Return whether this is the generation of December 2025."""
    return knobs.text("AIS_BENCH", "G2") == "G2"


def writes_inner_summary() -> bool:
    """Return whether the summary is ``sumary.json`` inside the output folder (older than G1)."""
    return knobs.text("AIS_BENCH", "G2") == "G0"


def log(level: str, text: str) -> None:
    """Print one line to stdout, where all log lines go."""
    sys.stdout.write(f"[{level}] {text}\n")
    sys.stdout.flush()


def plain(text: str) -> None:
    """Print a line that is not a log line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
