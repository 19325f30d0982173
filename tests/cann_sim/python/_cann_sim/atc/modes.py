"""The modes other than compiling: 1 (om to json) and 6 (show the om) [S]."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Dict

from _cann_sim.atc.console import Refused, say, start, success
from _cann_sim.om import BadOm, Om, from_bytes


def _load(flags: Dict[str, str]) -> Om:
    if not flags.get("om"):
        raise Refused("E10004", "Value for [--om] is empty.")
    try:
        return from_bytes(Path(flags["om"]).read_bytes())
    except (OSError, BadOm) as error:
        raise Refused("E10041", f"Failed to load the model from {flags['om']}. {error}") from error


def to_json(flags: Dict[str, str]) -> int:
    """Mode 1: write what the .om says of itself as JSON."""
    start()
    if flags.get("framework") == "1":
        raise Refused("E10001", "Value [1] for parameter [--framework] is invalid. Reason: not with mode 1")
    om = _load(flags)
    if not flags.get("json"):
        raise Refused("E10004", "Value for [--json] is empty.")
    described = asdict(om)
    del described["graph"]
    described.update(soc_version=om.soc, atc_cmdline=om.cmdline, **om.versions)
    Path(flags["json"]).write_text(json.dumps(described, indent=1))
    success()
    return 0


def show(flags: Dict[str, str]) -> int:
    """Mode 6: print what the .om says of itself."""
    start()
    if "framework" in flags:
        raise Refused("E10057", "Parameter [--framework] is not supported with mode 6.")
    om = _load(flags)
    say(
        "============ Display Model Info start ============",
        f"Original Atc command line: {om.cmdline}",
        f"system   info: atc_version[{om.versions['atc_version']}], soc_version[{om.soc}], "
        f"framework_type[{om.framework}].",
        f"resource info: memory_size[{om.work_size} B], weight_size[{om.weight_size} B], stream_num[1], event_num[0].",
        f"om       info: modeldef_size[{len(om.graph)} B].",
        "============ Display Model Info end   ============",
    )
    success()
    return 0
