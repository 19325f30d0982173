"""The chips that the simulator knows, and their limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from _cann_sim import knobs
from _cann_sim.knobs import names

# [S] Names of --soc_version with a platform file in 8.1.RC1 or the newest source; not exhaustive.
_NAMES = names("""
Ascend310 Ascend310P1 Ascend310P3 Ascend310P5 Ascend310P7
Ascend310B1 Ascend310B2 Ascend310B3 Ascend310B4
Ascend910A Ascend910B Ascend910ProA Ascend910ProB Ascend910PremiumA
Ascend910B1 Ascend910B2 Ascend910B2C Ascend910B3 Ascend910B4 Ascend910B4-1
Ascend910_9362 Ascend910_9363 Ascend910_9372 Ascend910_9381 Ascend910_9382 Ascend910_9391 Ascend910_9392
""")


@dataclass(frozen=True)
class Soc:
    """One chip: its full name, family, memory in MB, and how many streams and events a device has."""

    name: str
    family: str
    memory_mb: int
    streams: int
    events: int

    @property
    def short(self) -> str:
        """The name that npu-smi shows."""
        return self.name[len("Ascend") :]


def find_soc(name: str) -> Optional[Soc]:
    """Return the chip of that exact name, None where there is none; virtual 310P slices (Vir01...) are known too."""
    base, _, virtual = name.partition("Vir")
    if base not in _NAMES or (virtual and not (base.startswith("Ascend310P") and virtual.isdigit())):
        return None
    # [D] stream limits; [D] 310P has 1023 events, A2 and 310B 65536; memory from npu-smi listings [O].
    if base.startswith("Ascend310P"):
        return Soc(name, "310P", 21527, 1024, 1023)
    if base.startswith("Ascend310B"):
        return Soc(name, "310B", 15609, 512, 65536)
    if base == "Ascend310":
        return Soc(name, "310", 8192, 1024, 1023)  # [I] limits as 310P
    if base.startswith("Ascend910_"):
        return Soc(name, "A3", 65536, 1984, 65536)
    if base.startswith("Ascend910B") and base != "Ascend910B":
        return Soc(name, "A2", 32768, 1984, 65536)
    return Soc(name, "910", 32768, 2048, 65536)


def host_soc() -> Soc:
    """Return the chip of the simulated host: CANN_SIM_SOC, default Ascend310P3."""
    name = knobs.text("SOC", "Ascend310P3")
    found = find_soc(name)
    if found is None:
        raise ValueError(f"CANN_SIM_SOC={name} is not a chip that the simulator knows")
    return found


def host_devices() -> int:
    """Return how many devices the simulated host has: CANN_SIM_DEVICES, default 1."""
    return int(knobs.text("DEVICES", "1"))
