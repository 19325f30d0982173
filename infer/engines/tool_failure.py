"""What went wrong in a tool: the line of its output that says most, and what to do about it."""

from __future__ import annotations

import re
from typing import List, Optional, Sequence, Tuple

from clip2om.infer.engines.om import library_remedy, same_family
from clip2om.pipeline import soc
from clip2om.pipeline.ascend_codes import GENERAL, codes_in, find, words_with
from clip2om.pipeline.errors import RequestError

_RUN = "run"
_LONGEST = 300
# A line may follow the progress bar, or stand in the frame of a table.
_MARKED = re.compile(r"\[ERROR\]\s*\S.*")
_ACL = re.compile(r"\[ACL ERROR\]\s*(.*)|^\s*(E[A-Z]?\d{4,5}:.*)")
_NEXT_FILE = re.compile(r"start to process file")
_RAISED = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception|Interrupt)\b\s*:")
_WORDS = re.compile(r"error|fail|illegal|invalid|no such", re.IGNORECASE)
# What C prints where ACL has nothing to say.
_NOTHING = "(null)"
_FRAME = "\u2500\u2502\u256d\u256e\u256f\u2570| "
_DEVICES = "npu-smi info -m lists the devices (Chip Logic ID); see ASCEND_RT_VISIBLE_DEVICES, and --devices"
_PLOG = "look at ~/ascend/log/debug/plog of this run and at npu-smi info; --engine acl names the call that fails"
# What leaves no doubt, whatever else is printed.
_SURE = (
    (r"aclruntime_version|No module named 'pkg_resources'", "pip install 'setuptools<82' for the Python of ais_bench"),
    (r"file count under directory", "preprocess with --layout packed: fewer, larger files"),
)
# What the tools say without a code; what is said first explains the rest.
_KNOWN = (
    (r"open device \d+ failed|create context failed|\bset device failed", _DEVICES),
    (r"(?i)malloc .*fail|out of memory", "npu-smi info shows who holds memory; use a smaller BATCH"),
    (r"load model from file failed", "compile again on this host with SOC=auto; its CANN must not be older than ATC's"),
    (r"acl init failed", "make doctor: driver, group HwHiAiUser, container"),
    (r"execute model failed|model execute failed|execute Infer failed", _PLOG),
)


def why(console: str) -> str:
    """Return what a failed tool's output says most with: its first error, and the first words of ACL itself.

    Tools wrap an error several times; the first line is the fact, the last one that something failed.
    """
    lines = [_unframed(line) for line in console.replace("\r", "\n").splitlines()]
    lines = [line for line in lines if line]
    marked = [found.group() for found in map(_MARKED.search, lines) if found]
    acl = [(found.group(1) or found.group(2)).strip() for found in map(_ACL.search, lines) if found]
    raised = [line for line in lines if _RAISED.match(line)]
    boxed = [after for line, after in zip(lines, lines[1:]) if line == "Error"]
    worded = [line for line in lines if _WORDS.search(line)]
    first: List[str] = next(filter(None, (marked, acl, boxed, raised, worded, lines[-1:])), ["no output"])
    # What ACL says may only begin a traceback of its own.
    said = next((line for line in acl if line not in ("", _NOTHING) and line not in first[0]), "")
    return f"{first[0]}; ACL says: {said}"[:_LONGEST] if said else first[0][:_LONGEST]


def _unframed(line: str) -> str:
    return line.strip().strip(_FRAME).strip()


def advice(console: str, built_for: str) -> str:
    """Return what to do about a tool's failure: a missing library, another chip, a code in its output, or its words."""
    sure = library_remedy(console) or _told(_SURE, console)
    if sure:
        return sure
    here = _chip()
    if here and not same_family(here, built_for):
        return f"the model was compiled for {built_for}, this host has {here}: convert with --soc {here}"
    console = _first_failure(console)
    codes = [code for code in codes_in(console) if not code.startswith("W")]
    meanings = {code: find(code, words_with(code, console), _RUN) for code in codes}
    known = next((meaning for code, meaning in meanings.items() if meaning and code not in GENERAL), None)
    if known:
        return f"{known.title}: {known.todo.en}"
    told = _told(_KNOWN, console)
    general = next(filter(None, meanings.values()), None)
    return told or (f"{general.title}: {general.todo.en}" if general else "the log has all of its output")


def _first_failure(console: str) -> str:
    """Return the output up to the file after the one that failed: msame goes on, and fails for another reason then."""
    error = _MARKED.search(console)
    after = _NEXT_FILE.search(console, error.end()) if error else None
    return console[: after.start()] if after else console


def _told(table: Sequence[Tuple[str, str]], console: str) -> Optional[str]:
    found = [
        (match.start(), todo)
        for match, todo in ((re.search(pattern, console), todo) for pattern, todo in table)
        if match
    ]
    return min(found)[1] if found else None


def _chip() -> Optional[str]:
    """Return what npu-smi says this host has, None where it cannot tell."""
    try:
        found = soc.resolve(soc.AUTO)
    except RequestError:
        return None
    return None if found == soc.CPU else found
