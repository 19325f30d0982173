"""What went wrong with ATC, in one line that says what to try; the last lines of its log go before it."""

from __future__ import annotations

import os
import platform
import re
import signal
from pathlib import Path
from typing import List, Optional

from clip2om.convert.atc_command import input_shape
from clip2om.convert.request import ConvertRequest
from clip2om.pipeline.ascend_codes import GENERAL, Meaning, codes_in, find, words_with
from clip2om.pipeline.ascend_host import ROOT, find_cann
from clip2om.pipeline.atc_program import set_env_of
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.soc import operator_chips

_TAIL = 12
_WIDTH = 300
# Codes about names and shapes of inputs: there the graph's own help.
_ABOUT_INPUTS = ("E10002", "E10003", "E10014", "E10016", "E10017", "E10018", "E10031", "E10049")
_STAMP = re.compile(r"^\[PID: \d+\]\s*[\d:.-]*\s*")
_LIBRARY = re.compile(r"error while loading shared libraries: (\S+?):")
_DRIVER = "libascend_hal.so"


def explain_failure(request: ConvertRequest, code: int, text: str, log: Path, console: Console) -> RequestError:
    """Return the error for an exit code other than 0, after showing the codes found and the log's end."""
    library = _LIBRARY.search(text)
    if library:
        _show_tail(text, log, console)
        return _missing_library(library.group(1), log)
    if "unknown command line flag" in text or "Non-option parameter" in text:
        _show_tail(text, log, console)
        return RequestError("this atc does not know an argument", log, "check --atc-arg against atc --help")
    killed = _signal(code)
    if killed:
        _show_tail(text, log, console)
        return RequestError(
            f"atc was killed by {killed} after it had started, often for lack of memory",
            request.graph,
            "free memory, or set TE_PARALLEL_COMPILER=1 for fewer workers, then run the same command again",
        )
    found = [name for name in codes_in(text) if not name.startswith("W")]
    chosen = next((name for name in found if name not in GENERAL and find(name)), found[0] if found else "")
    meaning = find(chosen, words_with(chosen, text)) if chosen else None
    for name in found:
        _show(name, find(name, words_with(name, text)), console)
    _show_tail(text, log, console)
    if meaning is None:
        named = f": {chosen}, a code this release does not know" if chosen else ", without an error code"
        return RequestError(f"atc failed with exit code {code}{named}", request.graph, f"read {log}; make doctor")
    said = _said(chosen, text)
    return RequestError(
        f"atc failed with exit code {code}: {chosen}, {meaning.meaning.en} ({said})",
        request.graph,
        _todo(request, meaning, said),
    )


def unfinished(request: ConvertRequest, written: bool, text: str, log: Path, console: Console) -> RequestError:
    """Return the error for an exit code of 0 that cannot be believed."""
    _show_tail(text, log, console)
    lacks = "its line of success is missing" if written else "it wrote no .om"
    return RequestError(
        f"atc ended with exit code 0, but {lacks}", request.graph, f"read {log}, check the free space, run it again"
    )


def _said(code: str, text: str) -> str:
    """Return ATC's own words about a code, without process id and time; their form differs between releases."""
    spelled = {code, hex(int(code))} if code.isdigit() else {code}
    lines = (line for line in text.splitlines() if any(form in line.lower() or form in line for form in spelled))
    line = next(lines, "")
    words = line.partition(code)[2].lstrip("): ")
    return _STAMP.sub("", words)[:_WIDTH]


def _todo(request: ConvertRequest, meaning: Meaning, said: str) -> str:
    if "host_env_" in meaning.when:
        return f"{meaning.todo.en}: {_operators(request.soc)}"
    if meaning.code not in _ABOUT_INPUTS and "input_shape" not in said:
        return meaning.todo.en
    return f"{meaning.todo.en}; the record says {input_shape(request.record.inputs)}"


def _operators(soc: str) -> str:
    """Return which operator package is there, and which one the chip needs."""
    cann = find_cann(ROOT, os.environ)
    there = ", ".join(filter(None, cann.ops_chips)) if cann else ""
    wanted = operator_chips(soc)
    found = f"that of {there}" if there else "none"
    return f"here is {found}, {soc} needs that of {wanted[0] if wanted else 'its chip'}"


def _show(code: str, meaning: Optional[Meaning], console: Console) -> None:
    if meaning:
        console.say(f"{meaning.title}: {meaning.meaning.en}. Likely: {meaning.cause.en}")
    else:
        console.say(f"{code}: not a code this release knows")


def _show_tail(text: str, log: Path, console: Console) -> None:
    lines: List[str] = [line.rstrip() for line in text.splitlines() if line.strip()]
    console.say(f"the last lines of {log}:")
    for line in lines[-_TAIL:]:
        console.say(f"  {line[:_WIDTH]}")


def _missing_library(name: str, log: Path) -> RequestError:
    cann = find_cann(ROOT, os.environ)
    home = cann.home if cann else "<CANN>"
    if name != _DRIVER:
        return RequestError(f"atc does not find {name}", log, f"source {set_env_of(home)} and run it again")
    stubs = f"{home}/{platform.machine()}-linux/devlib"
    return RequestError(
        f"atc does not find {name}: this host has the toolkit without a driver",
        log,
        f"to compile here, export LD_LIBRARY_PATH={stubs}:$LD_LIBRARY_PATH (in this shell, never where models run)",
    )


def _signal(code: int) -> str:
    """Return the signal that ended ATC or, as its script passes it on, atc.bin; empty for an ordinary exit."""
    number = -code if code < 0 else code - 128
    try:
        return signal.Signals(number).name if code < 0 or 0 < number < 32 else ""
    except ValueError:
        return ""
