"""What the folder of a compiled model and of its scores is called: all that makes results different is in the name."""

from __future__ import annotations

from typing import Sequence


def compiled_name(soc: str, batch: int, dynamic: bool = False, int8: bool = False, variant: str = "") -> str:
    """Return the folder of a compiled model: ``cpu-b10``, ``Ascend310P3-dynamic``, ``cpu-b10-int8``.

    Args:
        soc: ``cpu`` or a chip's name.
        batch: Clips per execution.
        dynamic: One model for several batch sizes.
        int8: The model is quantized.
        variant: What was asked for instead of the card's own: a precision mode of ATC, a format for the CPU.
    """
    size = "dynamic" if dynamic else f"b{batch}"
    return "-".join(filter(None, [soc, size, "int8" if int8 else "", variant]))


def scored_name(compiled: str, precision: str = "", engine: str = "", devices: Sequence[int] = ()) -> str:
    """Return the folder of a run's scores and results: that of the model, and who computed how on which devices.

    Args:
        compiled: Folder name of the model.
        precision: Of the arithmetic; only ``bf16`` is another than the model's.
        engine: The engine that was named; empty or ``auto`` where the host chose.
        devices: The devices that were named; device 0 alone is the default.

    The later ais_bench takes letters, digits and ``_ . - /`` in paths, and nothing else.
    """
    return "-".join(
        filter(
            None,
            [
                compiled,
                "bf16" if precision == "bf16" else "",
                "" if engine == "auto" else engine,
                "dev" + "_".join(map(str, devices)) if tuple(devices) not in ((), (0,)) else "",
            ],
        )
    )
