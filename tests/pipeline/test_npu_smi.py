"""Listings of npu-smi as they were seen in public logs of several cards and drivers (text between bars unchanged)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Dict

from clip2om.pipeline.npu_smi import Chip, parse, run, soc_version

_310P3 = """
+--------------------------------------------------------------------------------------------------------+
| npu-smi 24.1.0.1                                 Version: 24.1.0.1                                     |
+-------------------------------+-----------------+------------------------------------------------------+
| NPU     Name                  | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device                | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
+===============================+=================+======================================================+
| 0       310P3                 | OK              | NA           56                0     / 0             |
| 0       0                     | 0000:01:00.0    | 0            1844 / 21527                            |
+===============================+=================+======================================================+
| 32      310P3                 | OK              | NA           58                0     / 0             |
| 0       1                     | 0000:02:00.0    | 0            1846 / 21527                            |
+===============================+=================+======================================================+
+-------------------------------+-----------------+------------------------------------------------------+
| NPU     Chip                  | Process id      | Process name             | Process memory(MB)        |
+===============================+=================+======================================================+
| No running processes found in NPU 0                                                                    |
+===============================+=================+======================================================+
"""

_310 = """
+------------------------------------------------------------------------------+
| npu-smi 21.0.3.1                     Version: 21.0.3.1                       |
+-------------------+-----------------+----------------------------------------+
| NPU     Name      | Health          | Power(W)          Temp(C)              |
| Chip    Device    | Bus-Id          | AICore(%)         Memory-Usage(MB)     |
+===================+=================+========================================+
| 1       310       | OK              | 12.8              49                   |
| 0       0         | 0000:01:00.0    | 0                 2621 / 8192          |
+-------------------+-----------------+----------------------------------------+
| 1       310       | Warning         | 12.8              50                   |
| 1       1         | 0000:02:00.0    | 0                 2621 / 8192          |
+===================+=================+========================================+
"""

_310B4 = """
| npu-smi 23.0.0                                   Version: 23.0.0                                       |
| NPU     Name                  | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device                | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
| 0       310B4                 | Alarm           | 0.0          65                15    / 15            |
| 0       0                     | NA              | 0            3628 / 15609                            |
"""

_910B4 = """
+------------------------------------------------------------------------------------------------+
| npu-smi 25.5.2                   Version: 25.5.2                                               |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 5     910B4               | OK            | 89.9        39                0    / 0             |
| 0                         | 0000:41:00.0  | 0           0    / 0          2922 / 32768         |
+===========================+===============+====================================================+
+---------------------------+---------------+----------------------------------------------------+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| 2       0                 | 1333928       |                          | 37709                   |
+===========================+===============+====================================================+
"""


def test_310p_has_numbers_that_are_not_device_numbers() -> None:
    listing = parse(_310P3)
    assert (listing.tool, listing.driver, listing.trouble) == ("24.1.0.1", "24.1.0.1", "")
    assert listing.chips == [
        Chip(0, 0, 0, "310P3", "OK", 21527),
        Chip(32, 0, 1, "310P3", "OK", 21527),
    ]


def test_310_has_several_chips_per_card_and_a_name_of_digits() -> None:
    assert parse(_310).chips == [
        Chip(1, 0, 0, "310", "OK", 8192),
        Chip(1, 1, 1, "310", "Warning", 8192),
    ]


def test_310b_has_no_bus() -> None:
    assert parse(_310B4).chips == [Chip(0, 0, 0, "310B4", "Alarm", 15609)]


def test_910b_has_no_device_column_and_a_block_of_processes() -> None:
    assert parse(_910B4).chips == [Chip(5, 0, None, "910B4", "OK", 32768)]


def test_nothing_of_use_gives_nothing() -> None:
    assert parse("").chips == []
    assert parse("dcmi module initialize failed. ret is -8005").chips == []


def _tool(folder: Path, body: str) -> Dict[str, str]:
    tool = folder / "npu-smi"
    tool.write_text(f"#!/bin/sh\n{body}\n")
    tool.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_run_without_the_tool(tmp_path: Path) -> None:
    assert run({"PATH": str(tmp_path)}) is None
    assert run({}) is None


def test_run_lists_chips(tmp_path: Path) -> None:
    (tmp_path / "table").write_text(_310P3)
    listing = run(_tool(tmp_path, f'[ "$1" = info ] && cat {tmp_path}/table'))
    assert listing is not None
    assert (len(listing.chips), listing.trouble) == (2, "")


def test_run_says_why_it_failed(tmp_path: Path) -> None:
    cases = {
        "echo 'DrvMngGetConsoleLogLevel failed. (ret=4)'; echo 'dcmi module initialize failed. ret is -8005'; exit 1": (
            "dcmi module initialize failed. ret is -8005"
        ),
        "echo hello": "lists no chip (hello)",
        "exit 3": "no output",
    }
    for body, trouble in cases.items():
        listing = run(_tool(tmp_path, body))
        assert listing is not None
        assert listing.trouble == trouble
    start = time.monotonic()
    listing = run(_tool(tmp_path, "exec sleep 20"), timeout_s=0.5)
    assert listing is not None
    assert "no answer" in listing.trouble
    assert time.monotonic() - start < 10
    (tmp_path / "npu-smi").write_text("no program")
    listing = run({"PATH": str(tmp_path)})
    assert listing is not None
    assert "cannot be run" in listing.trouble


def test_names_for_atc(tmp_path: Path) -> None:
    def named(name: str) -> str:
        return soc_version(Chip(0, 0, 0, name, "OK", 0), {"PATH": str(tmp_path)})

    assert [named(name) for name in ("310P3", "310", "910ProB", "Ascend310P3")] == [
        "Ascend310P3",
        "Ascend310",
        "Ascend910ProB",
        "Ascend310P3",
    ]
    assert named("Ascend910") == "Ascend910"
    board = "printf '\\tNPU ID                         : 0\\n\\tChip Name                      : Ascend910\\n"
    environ = _tool(tmp_path, board + "\\tNPU Name                       : 9392\\n'")
    assert soc_version(Chip(0, 0, 0, "Ascend910", "OK", 0), environ) == "Ascend910_9392"
