"""Names of the devices a model is compiled for, and which one this host has."""

from __future__ import annotations

import difflib
import os
import re
from typing import List

from clip2om.pipeline import npu_smi
from clip2om.pipeline.errors import RequestError

CPU = "cpu"
AUTO = "auto"
# The values of ATC's --soc_version; virtual NPUs (Ascend310P3Vir01) add a suffix to their chip's name.
ASCEND = (
    *("Ascend310", "Ascend310P1", "Ascend310P2", "Ascend310P3", "Ascend310P4", "Ascend310P5", "Ascend310P7"),
    *("Ascend310B1", "Ascend310B2", "Ascend310B3", "Ascend310B4"),
    *("Ascend910A", "Ascend910B", "Ascend910ProA", "Ascend910ProB", "Ascend910PremiumA"),
    *("Ascend910B1", "Ascend910B2", "Ascend910B2C", "Ascend910B3", "Ascend910B4", "Ascend910B4-1"),
    *("Ascend910_9362", "Ascend910_9372", "Ascend910_9381", "Ascend910_9382", "Ascend910_9391", "Ascend910_9392"),
)
# A virtual NPU adds a suffix to its chip's name; of Ascend950 the variants are not all known.
_VIRTUAL = re.compile(r"Vir\d+$")
_OPEN = re.compile(r"Ascend950[A-Za-z0-9_-]+")


def resolve(name: str) -> str:
    """Return the SOC that ``name`` stands for: ``cpu`` or a ``--soc_version`` of ATC; ``auto`` is what this host has.

    Raises:
        RequestError: not a SOC, a family of SOCs, or ``auto`` where npu-smi fails or lists different chips.
    """
    if name == AUTO:
        return _detect()
    if name == CPU or _VIRTUAL.sub("", name) in ASCEND or _OPEN.fullmatch(name):
        return name
    raise RequestError(f"{name!r} is not a SOC", "--soc", _advice(name))


def variants(name: str) -> List[str]:
    """Return the SOCs of a family: what ``name``, with or without ``Ascend``, is the beginning of."""
    start = name.lower() if name.lower().startswith("ascend") else f"ascend{name.lower()}"
    return [soc for soc in ASCEND if soc.lower().startswith(start) and len(start) > len("ascend")]


def _advice(name: str) -> str:
    known = {soc.lower(): soc for soc in (AUTO, CPU, *ASCEND)}
    exact = known.get(name.lower()) or known.get(f"ascend{name.lower()}")
    family = variants(name)
    if not exact and len(family) > 1:
        return f"the family has {', '.join(family)}: npu-smi info on the NPU host shows which (its Name without Ascend)"
    close = [exact] if exact else family
    close = close or [known[found] for found in difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.75)]
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"choose one of: {', '.join(known.values())}"


def _detect() -> str:
    """Return what npu-smi lists; ``cpu`` where there is no npu-smi.

    A name that is not in the list is believed: there may be newer chips than this release knows.
    """
    listing = npu_smi.run(os.environ)
    if listing is None:
        return CPU
    todo = "make doctor tells more; name the chip (--soc Ascend310P3), or SOC=cpu (--soc cpu)"
    if listing.trouble:
        raise RequestError(f"npu-smi info fails ({listing.trouble})", "--soc auto", todo)
    found = sorted({npu_smi.soc_version(chip, os.environ) for chip in listing.chips})
    if len(found) > 1:
        raise RequestError(f"this host has different chips: {', '.join(found)}", "--soc auto", "name one of them")
    if found[0] not in ASCEND and len(variants(found[0])) > 1:
        raise RequestError(f"npu-smi shows only the family {found[0]}", "--soc auto", _advice(found[0]))
    return found[0]
