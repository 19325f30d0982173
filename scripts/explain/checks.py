"""The checks behind an explanation: what this host and this graph say about a code."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Iterator, List, Optional

_INPUTS = ("E10016", "E10017", "E10018", "E10031", "E10049")
_NAMED = re.compile(r"Opname \[([^\]]+)\]")
_DEVICES = ("107001", "207004", "207005", "207006", "500000", "500004", "507033", "507899", "EE1001", "EE1003")
_WRONG_SOC = ("507008", "500002", "EE1001")


def check(code: str, text: str, model: Optional[str] = None, graph: Optional[str] = None) -> Iterator[str]:
    """Yield one line per finding that belongs to ``code``; none where there is nothing to check.

    Args:
        code: A code of the table.
        text: The log it came from, as far as there is one.
        model: The card whose graph is to be looked at.
        graph: Folder of the graph (default: build/CARD/graph).
    """
    if code in _INPUTS:
        yield from _inputs(code, text, model, graph)
    if code == "E10001" and "host_env_" in text:
        yield from _operators()
    if code == "100039":
        yield from _stubs()
    if code in _WRONG_SOC:
        yield from _chips()
    if code in _DEVICES:
        yield "make doctor looks at driver, device nodes, group and npu-smi of this host"
    if code.startswith(("E400", "EC0010")):
        yield "make doctor imports the modules that the operator compiler needs with this host's python3"


def _inputs(code: str, text: str, model: Optional[str], graph: Optional[str]) -> Iterator[str]:
    """Compare the names in the log, and the card's, with the inputs of the graph's record."""
    from clip2om.pipeline import cards
    from clip2om.pipeline.places import build_folder
    from clip2om.pipeline.records import GraphRecord, read_record

    if model is None:
        yield "pass --model CARD to compare with the graph's inputs"
        return
    card = cards.load(model)
    path = Path(graph or build_folder(card.name) / "graph") / "model.json"
    record = read_record(path, GraphRecord, f"run python -m export --model {card.name} first")
    yield f"inputs of {path}: {', '.join(map(str, record.inputs))}"
    names = [spec.name for spec in record.inputs]
    for name in dict.fromkeys(_NAMED.findall(text)):
        if name in names:
            yield f"{name!r}, named in the log, is among them: the graph is not what its record says; export it again"
        else:
            yield f"{name!r}, named in the log, is not among them; export the graph again, or correct the name"
    if card.input.name not in names:
        yield f"card {card.name} calls the input {card.input.name!r}: export the graph again"
    if code in ("E10018", "E10031"):
        fixed = [spec.name for spec in record.inputs if spec.batch != -1]
        yield "the batch is fixed: export with --dynamic-batch" if fixed else "the batch is open, as it has to be"


def _operators() -> Iterator[str]:
    from clip2om.pipeline.ascend_host import ROOT, find_cann

    cann = find_cann(ROOT, os.environ)
    if cann is None:
        yield "there is no CANN on this host"
        return
    there = ", ".join(f"{version} of {chip}" for version, chip in zip(cann.ops, cann.ops_chips))
    found = f"CANN {cann.version} in {cann.home} has operators {there or 'of no package'}"
    yield f"{found}; a package is for one chip, and that of --soc is needed"


def _stubs() -> Iterator[str]:
    parts = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    found: List[str] = [part for part in parts if "devlib" in part or "stub" in part]
    yield f"LD_LIBRARY_PATH holds {', '.join(found)}" if found else "LD_LIBRARY_PATH of this shell holds no stubs"


def _chips() -> Iterator[str]:
    from clip2om.pipeline import npu_smi

    listing = npu_smi.run(os.environ)
    if listing is None or listing.trouble:
        yield "npu-smi does not answer here, so this host's chip is not known"
        return
    found = sorted({npu_smi.soc_version(chip, os.environ) for chip in listing.chips})
    yield f"this host has {', '.join(found)}; soc in the .om's model.json must be the same"
