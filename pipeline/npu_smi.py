"""What ``npu-smi info`` prints, as chips: parsed by columns and patterns, because the widths differ between drivers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import List, Mapping, Optional, Tuple

TOOL = "npu-smi"
_TIMEOUT_S = 20.0
_DIGITS = 15
_USUAL = ("/usr/local/bin", "/usr/local/sbin")
_HEAD = re.compile(r"npu-smi\s+(\S+)\s+Version:\s*(\S+)")
_MEMORY = re.compile(r"(\d+)\s*/\s*(\d+)")
_POWER = re.compile(r"\d+(\.\d+)?(?=\s|$)")
_BOARD = re.compile(r"^\s*(NPU Name|Chip Name)\s*:\s*(\S.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Chip:
    """One chip.

    Attributes:
        npu: Id of the card as npu-smi counts it; not contiguous on a 310P.
        chip: Id of the chip on its card.
        device: Logical id, the one that ACL, ais_bench and msame take; None where npu-smi does not show it.
        name: As printed, for example ``310P3``.
        health: As printed; ``Alarm`` is common on healthy 310B boards.
        memory_mb: Device memory in MB as npu-smi counts it (HBM where there is some); 0 where it is not shown.
        power_w: Power in watts, None where npu-smi does not tell (``NA``, and the 0.0 of boards).
    """

    npu: int
    chip: int
    device: Optional[int]
    name: str
    health: str
    memory_mb: int
    # Of the moment, not of the chip.
    power_w: Optional[float] = field(default=None, compare=False)


@dataclass(frozen=True)
class Listing:
    """What the tool said: its version, the driver's, the chips, and a complaint where it failed."""

    tool: str = ""
    driver: str = ""
    chips: List[Chip] = field(default_factory=list)
    trouble: str = ""


def parse(text: str) -> Listing:
    """Read the table of ``npu-smi info``; the block of processes below it is left out."""
    head = _HEAD.search(text)
    chips: List[Chip] = []
    first: Optional[Tuple[int, str, str, str]] = None
    for line in text.splitlines():
        if "Process id" in line:
            break
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        numbers = cells[0].split()
        if len(cells) < 3 or not numbers or not _is_number(numbers[0]):
            continue
        # Each chip has two rows: card, name and health; then chip, device, bus and load.
        if first is None:
            first = (int(numbers[0]), " ".join(numbers[1:]), cells[1], cells[2])
        else:
            chips.append(_chip(first, numbers, cells[-1]))
            first = None
    return Listing(head.group(1) if head else "", head.group(2) if head else "", chips)


def run(environ: Mapping[str, str], timeout_s: float = _TIMEOUT_S) -> Optional[Listing]:
    """Run ``npu-smi info`` as found on the PATH of ``environ``; None where there is no such tool.

    A tool that fails, hangs or prints no chip gives a listing whose ``trouble`` says so in one line.
    """
    tool = _find(environ)
    if tool is None:
        return None
    code, text = _output([tool, "info"], environ, timeout_s)
    listing = parse(text)
    if code == 0 and listing.chips:
        return listing
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = lines[-1] if lines else "no output"
    trouble = said if code else f"lists no chip ({said})"
    return Listing(listing.tool, listing.driver, listing.chips, trouble)


def soc_version(chip: Chip, environ: Mapping[str, str]) -> str:
    """Return ATC's ``--soc_version`` for a chip: ``Ascend`` before the printed name.

    An A3 prints only ``Ascend910``; there the board listing has the other half (documented for CANN 8.x).
    """
    if chip.name != "Ascend910":
        return chip.name if chip.name.startswith("Ascend") else f"Ascend{chip.name}"
    tool = _find(environ) or TOOL
    command = [tool, "info", "-t", "board", "-i", str(chip.npu), "-c", str(chip.chip)]
    board = dict(_BOARD.findall(_output(command, environ, _TIMEOUT_S)[1]))
    return f"{board.get('Chip Name', chip.name)}_{board['NPU Name']}" if "NPU Name" in board else chip.name


def _find(environ: Mapping[str, str]) -> Optional[str]:
    """Return the tool: on PATH, else where drivers put it without asking whose PATH that is."""
    path = environ.get("PATH", "")
    return shutil.which(TOOL, path=os.pathsep.join([path, *_USUAL]) if path else os.pathsep.join(_USUAL))


def _chip(first: Tuple[int, str, str, str], numbers: List[str], load: str) -> Chip:
    npu, name, health, drawn = first
    memories = _MEMORY.findall(load)
    device = int(numbers[1]) if len(numbers) > 1 and _is_number(numbers[1]) else None
    watts = _POWER.match(drawn)
    power = float(watts.group()) or None if watts else None
    return Chip(
        npu,
        int(numbers[0]),
        device,
        name,
        health,
        int(memories[-1][1]) if memories and _is_number(memories[-1][1]) else 0,
        power,
    )


def _is_number(text: str) -> bool:
    """True for decimal digits, few enough for what counts chips and megabytes."""
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS


def _output(command: List[str], environ: Mapping[str, str], timeout_s: float) -> Tuple[int, str]:
    """Return exit code and what was printed; a tool that cannot be run has code 127, one that hangs 124."""
    try:
        done = subprocess.run(
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return 124, f"no answer within {timeout_s:.0f} s"
    except OSError as error:
        return 127, f"cannot be run ({error.strerror or error})"
    return done.returncode, done.stdout.decode("utf-8", "replace")
