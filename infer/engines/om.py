"""What the three engines that run .om models have in common: their options and how devices are called."""

from __future__ import annotations

import re
from typing import Optional

from clip2om.infer.engines.base import Backend, Options
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.records import CompiledRecord

SET_ENV = "source /usr/local/Ascend/ascend-toolkit/set_env.sh (CANN 8.5 on: /usr/local/Ascend/cann/set_env.sh)"
# Ascend910B without a number is an old 910, unlike Ascend910B1 to B4.
_FAMILY = re.compile(r"ascend(?:310p|310b|910b(?=\d)|910_93|\d+)")


def check_om_options(backend: Backend) -> None:
    """Refuse a choice of precision: that of an .om was made when it was compiled.

    Raises:
        RequestError: ``--precision bf16``.
    """
    if backend.options.precision not in backend.precisions:
        raise RequestError(
            f"the precision of an .om is chosen when it is compiled; this one computes in {backend.record.precision}",
            f"--precision {backend.options.precision}",
            "leave --precision out",
        )


def library_remedy(text: str) -> Optional[str]:
    """Return what to do where ``text`` says that a library of CANN or of the driver is missing, else None."""
    if "libascend_hal" in text:
        return "the driver is missing, or the container does not mount /usr/local/Ascend/driver; make doctor"
    if "libascendcl" in text or "No module named 'acl" in text:
        return SET_ENV
    return None


def same_family(found: str, expected: str) -> bool:
    """True where two SOC names are of one family (310, 310P, 310B, 910, 910B, 910_93).

    Which variants of a family run each other's models is decided by lists inside CANN, so that is left to loading.
    """
    return _family(found) == _family(expected)


def _family(name: str) -> str:
    match = _FAMILY.match(name.lower())
    return match.group() if match else name.lower()


def device_name(record: CompiledRecord, options: Options) -> str:
    """Return SOC and devices in words: ``Ascend310P3 device 0, 1``."""
    return f"{record.soc} device {', '.join(map(str, options.devices or (0,)))}"
