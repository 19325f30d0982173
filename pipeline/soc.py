"""Names of the devices a model is compiled for, and which one this host has."""

from __future__ import annotations

import re
import shutil

from pipeline.errors import RequestError

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
_VIRTUAL = re.compile(r"Vir\d+$")


def resolve(name: str) -> str:
    """Return the SOC that ``name`` stands for: ``cpu`` or a ``--soc_version`` of ATC; ``auto`` is what this host has.

    Raises:
        RequestError: not a SOC, or ``auto`` on a host with an NPU.
    """
    if name == AUTO:
        return _detect()
    if name == CPU or _VIRTUAL.sub("", name) in ASCEND:
        return name
    raise RequestError(f"{name!r} is not a SOC", "--soc", f"choose one of: {AUTO}, {CPU}, {', '.join(ASCEND)}")


def _detect() -> str:
    tool = shutil.which("npu-smi")
    if tool is None:
        return CPU
    raise RequestError(
        f"this host has an NPU ({tool}), and compilation with ATC is not in this release",
        "--soc auto",
        "SOC=cpu (--soc cpu) works here",
    )
