"""Names of the devices a model is compiled for, and which one this host has."""

from __future__ import annotations

import difflib
import os
import re
from typing import List, Sequence, Tuple

from clip2om.pipeline import npu_smi
from clip2om.pipeline.errors import RequestError

CPU = "cpu"
AUTO = "auto"
# The values of ATC's --soc_version that some release has: platform files of CANN 8.1.RC1 and of the newest source.
ASCEND = (
    *("Ascend310", "Ascend310P1", "Ascend310P3", "Ascend310P5", "Ascend310P7"),
    *("Ascend310B1", "Ascend310B2", "Ascend310B3", "Ascend310B4"),
    *("Ascend910A", "Ascend910B", "Ascend910ProA", "Ascend910ProB", "Ascend910PremiumA"),
    *("Ascend910B1", "Ascend910B2", "Ascend910B2C", "Ascend910B3", "Ascend910B4", "Ascend910B4-1"),
    *("Ascend910_9362", "Ascend910_9363", "Ascend910_9372", "Ascend910_9381", "Ascend910_9382"),
    *("Ascend910_9391", "Ascend910_9392", "Ascend350_354f", "Ascend350_355e", "Ascend031", "Ascend035"),
)
# Listed in manuals, but no release that was looked at has a platform file of them.
_NOWHERE = ("Ascend310P2", "Ascend310P4")
# In 8.1.RC1, and no more in the newest source.
_LEFT = {"Ascend310": (8, 1)}
# A virtual NPU adds a suffix to its chip's name; of Ascend950 the variants are not all known.
_VIRTUAL = re.compile(r"Vir\d+$")
_OPEN = re.compile(r"Ascend950[A-Za-z0-9_-]+")
# There will be other chips than these: such a name is believed.
_BELIEVED = re.compile(r"Ascend\d{3}[A-Za-z0-9_-]*")
_UNFINISHED = ("Ascend950", "Ascend350", "Ascend910")


def resolve(name: str) -> str:
    """Return the SOC that ``name`` stands for: ``cpu`` or a ``--soc_version`` of ATC; ``auto`` is what this host has.

    A name of the right form that this release does not know is believed, whether it was given or npu-smi says it;
    :func:`doubt` has the word to say about it.

    Raises:
        RequestError: not a SOC, a family of SOCs, or ``auto`` where npu-smi fails or lists different chips.
    """
    if name == AUTO:
        return _detect()
    if name == CPU or _known(name) or (_BELIEVED.fullmatch(name) and not _is_family(name)):
        return name
    raise RequestError(f"{name!r} is not a SOC", "--soc", _advice(name))


def doubt(name: str, platforms: Sequence[str] = (), release: Tuple[int, int] = (0, 0)) -> str:
    """Return what speaks against a SOC that :func:`resolve` gave, empty where nothing does.

    Args:
        name: The SOC.
        platforms: The chips that the CANN of this host has platform files of, where it has such files.
        release: Major and minor version of that CANN; (0, 0) where it is not known.
    """
    base = _VIRTUAL.sub("", name)
    if name == CPU or base in platforms:
        return ""
    if platforms:
        return f"the CANN of this host has no platform file of {base}: it knows {', '.join(sorted(platforms))}"
    if base in _NOWHERE:
        return f"{base} stands in manuals, but in no CANN that was looked at (8.1.RC1, newest): see npu-smi info"
    if base in _LEFT and (release == (0, 0) or release > _LEFT[base]):
        last = ".".join(map(str, _LEFT[base]))
        return f"{base} has left CANN: {last} has it, the newest has not"
    if _known(base):
        return ""
    close = difflib.get_close_matches(base, ASCEND, n=1, cutoff=0.75)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"{base} is no SOC that this release knows; it is believed, ATC decides{hint}"


def operator_chips(name: str) -> Tuple[str, ...]:
    """Return the ``<chip>`` of Ascend-cann-<chip>-ops for a SOC, the usual spelling first; () where that is not known.

    From CANN 8.5 on an operator package holds the kernels of one chip (of 910_93, A3, the spelling is inferred).
    """
    lower = name.lower()[len("ascend") :]
    for start, chips in _PACKAGES:
        if re.match(start, lower):
            return chips
    return ()


_PACKAGES = (
    ("310p", ("310p",)),
    ("310b", ("310b",)),
    (r"310(vir|$)", ("310",)),
    ("910_93", ("a3", "910_93", "910c")),
    (r"910b\d", ("910b",)),
    ("910", ("910",)),
    ("950", ("950",)),
    ("350", ("350",)),
)


def _known(name: str) -> bool:
    base = _VIRTUAL.sub("", name)
    return base in ASCEND or base in _NOWHERE or bool(_OPEN.fullmatch(name))


def _is_family(name: str) -> bool:
    return name in _UNFINISHED or len(variants(name)) > 1


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

    A name that is not in the list is believed, as a given one is: there may be newer chips than this release knows.
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
    if not _known(found[0]) and _is_family(found[0]):
        raise RequestError(f"npu-smi shows only the family {found[0]}", "--soc auto", _advice(found[0]))
    return found[0]
