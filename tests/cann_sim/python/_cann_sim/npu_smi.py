"""Simulated npu-smi: the tables of each chip family as observed [O], key and value listings.

NPU ids are not device ids: 0, 32, 64, ... on 310P; the Device (or logical, or physical) column is what ACL counts.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Callable, Dict, List, Tuple

from _cann_sim import knobs, soc
from _cann_sim.soc import Soc

_VERSIONS = {"310": "21.0.3.1", "310P": "24.1.0.1", "310B": "23.0.0", "910": "23.0.0", "A2": "25.5.2", "A3": "25.5.2"}
_EXIT_FAILED = 1  # [I] that it is not zero is all that is known


@dataclass(frozen=True)
class Chip:
    """One chip: its card's NPU id, its number on the card, its device id and bus id."""

    npu: int
    chip: int
    device: int
    bus: str


def _chips(chip: Soc) -> List[Chip]:
    found = []
    for device in range(soc.host_devices()):
        bus = f"0000:{device + 1:02x}:00.0"
        if chip.family == "310":
            found.append(Chip(1 + device // 4, device % 4, device, bus))
        elif chip.family == "310P":
            found.append(Chip(32 * device, 0, device, bus))
        elif chip.family == "310B":
            found.append(Chip(device, 0, device, "NA"))
        else:
            found.append(Chip(device, 0, device, f"0000:{0x41 + device:02x}:00.0"))
    return found


def _rule(widths: Tuple[int, ...], fill: str) -> str:
    return "+" + "+".join(fill * width for width in widths) + "+"


def _row(widths: Tuple[int, ...], cells: Tuple[str, ...]) -> str:
    return "|" + "|".join(f" {cell}".ljust(width) for width, cell in zip(widths, cells)) + "|"


def _processes(widths: Tuple[int, ...], chips: List[Chip]) -> List[str]:
    whole = (sum(widths) + len(widths) - 1,)
    lines = [
        _rule(widths, "-"),
        _row(widths, ("NPU     Chip", "Process id", f"{'Process name':<25}| Process memory(MB)")),
        _rule(widths, "="),
    ]
    for npu in dict.fromkeys(chip.npu for chip in chips):
        lines += [_row(whole, (f"No running processes found in NPU {npu}",)), _rule(widths, "=")]
    return lines


def _table_310p(chip: Soc) -> List[str]:
    widths = (31, 17, 54)
    health, power = ("Alarm", "0.0") if chip.family == "310B" else ("OK", knobs.text("POWER", "NA"))
    huge = "15    / 15" if chip.family == "310B" else "0     / 0"
    lines = _head(chip, widths)
    lines += [
        _row(widths, ("NPU     Name", "Health", "Power(W)     Temp(C)           Hugepages-Usage(page)")),
        _row(widths, ("Chip    Device", "Bus-Id", "AICore(%)    Memory-Usage(MB)")),
        _rule(widths, "="),
    ]
    for entry in _chips(chip):
        usage = f"{power:<13}{'56':<18}{huge}"
        memory = f"{'0':<13}1844 / {chip.memory_mb}"
        lines += [
            _row(widths, (f"{entry.npu:<8}{chip.short}", health, usage)),
            _row(widths, (f"{entry.chip:<8}{entry.device}", entry.bus, memory)),
            _rule(widths, "="),
        ]
    return lines + _processes(widths, _chips(chip))


def _table_310(chip: Soc) -> List[str]:
    widths = (19, 17, 40)
    lines = _head(chip, widths)
    lines += [
        _row(widths, ("NPU     Name", "Health", "Power(W)          Temp(C)")),
        _row(widths, ("Chip    Device", "Bus-Id", "AICore(%)         Memory-Usage(MB)")),
        _rule(widths, "="),
    ]
    chips = _chips(chip)
    for entry in chips:
        last = entry is chips[-1] or chips[chips.index(entry) + 1].npu != entry.npu
        lines += [
            _row(widths, (f"{entry.npu:<8}{chip.short}", "OK", f"{'12.8':<18}49")),
            _row(widths, (f"{entry.chip:<8}{entry.device}", entry.bus, f"{'0':<18}2621 / {chip.memory_mb}")),
            _rule(widths, "=" if last and entry is not chips[-1] else "-"),
        ]
    return lines


def _table_910(chip: Soc) -> List[str]:
    widths = (27, 15, 52)
    name, physical = ("Ascend910", True) if chip.family == "A3" else (chip.short, False)
    lines = _head(chip, widths)
    lines += [
        _row(widths, ("NPU   Name", "Health", "Power(W)    Temp(C)           Hugepages-Usage(page)")),
        _row(widths, ("Chip  Phy-ID" if physical else "Chip", "Bus-Id", "AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)")),
        _rule(widths, "="),
    ]
    for entry in _chips(chip):
        second = f"{entry.chip:<6}{entry.device}" if physical else str(entry.chip)
        memory = f"{'0':<12}{'0    / 0':<18}2922 / {chip.memory_mb}"
        lines += [
            _row(widths, (f"{entry.npu:<6}{name}", "OK", f"{'89.9':<12}{'39':<18}0    / 0")),
            _row(widths, (second, entry.bus, memory)),
            _rule(widths, "="),
        ]
    return lines + _processes(widths, _chips(chip))


def _head(chip: Soc, widths: Tuple[int, ...]) -> List[str]:
    version = _VERSIONS[chip.family]
    whole = sum(widths) + len(widths) - 1
    title = f" npu-smi {version}".ljust({78: 38, 104: 50}.get(whole, 34)) + f"Version: {version}"
    return ["+" + "-" * whole + "+", "|" + title.ljust(whole) + "|", _rule(widths, "-")]


def _pairs(*pairs: Tuple[str, object]) -> List[str]:
    return [f"\t{key:<31}: {value}" for key, value in pairs]


def _list(chip: Soc) -> List[str]:
    chips = _chips(chip)
    cards = list(dict.fromkeys(entry.npu for entry in chips))
    lines = _pairs(("Total Count", len(cards)))
    for card in cards:
        count = sum(entry.npu == card for entry in chips)
        lines += ["", *_pairs(("NPU ID", card), ("Product Name", "NA"), ("Serial Number", "NA"), ("Chip Count", count))]
    return lines


def _mapping(chip: Soc) -> List[str]:
    name = "Ascend910" if chip.family == "A3" else f"Ascend {chip.short}"
    lines = ["\t" + "".join(f"{title:<31}" for title in ("NPU ID", "Chip ID", "Chip Logic ID", "Chip Name"))]
    for entry in _chips(chip):
        lines.append("\t" + "".join(f"{cell!s:<31}" for cell in (entry.npu, entry.chip, entry.device, name)))
        lines.append("\t" + "".join(f"{cell!s:<31}" for cell in (entry.npu, entry.chip + 1, "-", "Mcu")))
    return lines


def _board(chip: Soc, card: int, number: str) -> List[str]:
    version = _VERSIONS[chip.family]
    if not number:
        return _pairs(
            ("NPU ID", card), ("Product Name", "NA"), ("Model", "NA"), ("Manufacturer", "Huawei"),
            ("Serial Number", "NA"), ("Software Version", version), ("Firmware Version", "7.5.0.1.129"),
            ("Compatibility", "OK"), ("Board ID", "0x64"), ("PCB ID", "A"), ("BOM ID", 1),
            ("PCIe Bus Info", _chips(chip)[0].bus), ("Slot ID", 0), ("Class ID", "NA"), ("PCI Vendor ID", "0x19e5"),
            ("PCI Device ID", "0xd500"), ("Chip Count", sum(entry.npu == card for entry in _chips(chip))),
        )  # fmt: skip
    if chip.family == "A3":
        return _pairs(
            ("NPU ID", card),
            ("Chip ID", number),
            ("Chip Name", "Ascend910"),
            ("NPU Name", chip.name.partition("_")[2]),
            ("Chip Version", "V1"),
        )
    return _pairs(
        ("NPU ID", card),
        ("Chip ID", number),
        ("Chip Type", "Ascend"),
        ("Chip Name", chip.short),
        ("Chip Version", "V1"),
        ("Board ID", "0x64"),
        ("Firmware Version", "7.5.0.1.129"),
    )


def _common(chip: Soc, card: int, number: str) -> List[str]:
    lines = _pairs(("NPU ID", card))
    for entry in (e for e in _chips(chip) if e.npu == card):
        lines += ["", *_pairs(
            ("Chip ID", entry.chip), ("Memory Usage Rate(%)", 8), ("Aicore Usage Rate(%)", 0),
            ("Aicore Freq(MHZ)", 1080), ("Aicore curFreq(MHZ)", 960), ("Temperature(C)", 56),
        )]  # fmt: skip
    return [*lines, "", *_pairs(("Chip Name", "mcu"))]


def _usages(chip: Soc, card: int, number: str) -> List[str]:
    return _pairs(
        ("NPU ID", card),
        ("DDR Capacity(MB)", chip.memory_mb),
        ("DDR Usage Rate(%)", 8),
        ("Aicore Usage Rate(%)", 0),
        ("Aicpu Usage Rate(%)", 0),
        ("Ctrlcpu Usage Rate(%)", 1),
        ("Chip ID", 0),
    )


def _power(chip: Soc, card: int, number: str) -> List[str]:
    key = "NPU Real-time Power(W)" if chip.family in ("A2", "A3") else "Power Dissipation(W)"
    return _pairs(("NPU ID", card), ("Chip ID", 0), (key, 12.8))


def _temperature(chip: Soc, card: int, number: str) -> List[str]:
    return _pairs(("NPU ID", card), ("Chip ID", 0), ("NPU Temperature (C)", 56))


def _health(chip: Soc, card: int, number: str) -> List[str]:
    return _pairs(("NPU ID", card), ("Health", "Alarm" if chip.family == "310B" else "OK"))


_TYPES: Dict[str, Callable[[Soc, int, str], List[str]]] = {
    "board": _board,
    "common": _common,
    "usages": _usages,
    "power": _power,
    "temp": _temperature,
    "health": _health,
}


def main(arguments: List[str]) -> int:
    """Run npu-smi and return its exit status."""
    if not knobs.driver_usable():
        # [O] driver not loaded, no permission, no device node.
        return _print(["dcmi module initialize failed. ret is -8005"], _EXIT_FAILED)
    chip = soc.host_soc()
    if arguments[:1] != ["info"]:
        return _print(["Usage: npu-smi info [-l | -m | -t type -i id [-c chip_id]]"], _EXIT_FAILED if arguments else 0)
    options = arguments[1:]
    if not options:
        return _print({"310": _table_310, "310P": _table_310p, "310B": _table_310p}.get(chip.family, _table_910)(chip))
    if options == ["-l"]:
        return _print(_list(chip))
    if options == ["-m"]:
        return _print(_mapping(chip))
    return _typed(chip, options)


def _typed(chip: Soc, options: List[str]) -> int:
    given = dict(zip(options[::2], options[1::2]))
    if len(options) % 2 or set(given) - {"-t", "-i", "-c"} or given.get("-t") not in _TYPES:
        return _print(["Error parameter."], _EXIT_FAILED)
    if "-i" not in given:
        return _print(["Error: -i is required with -t."], _EXIT_FAILED)
    cards = {str(entry.npu) for entry in _chips(chip)}
    if given["-i"] not in cards:
        return _print(["This device does not exist."], _EXIT_FAILED)
    return _print(_TYPES[given["-t"]](chip, int(given["-i"]), given.get("-c", "")))


def _print(lines: List[str], status: int = 0) -> int:
    sys.stdout.write("\n".join(lines) + "\n")
    return status
