"""Names of SOCs, and what npu-smi of several drivers makes of ``auto``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clip2om.pipeline import soc
from clip2om.pipeline.errors import RequestError

_ROWS = {
    "310P3": "| {0}       310P3   | OK     | NA    56    0     / 0    |",
    "310": "| {0}       310       | OK              | 12.8              49                   |",
    "310B4": "| {0}       310B4   | Alarm  | 0.0   65    15    / 15   |",
    "Ascend910": "| {0}     Ascend910           | OK            | 89.9        39                0    / 0             |",
}
_SECOND = "| 0       {0}                     | 0000:01:00.0    | 0            1844 / 21527                            |"


@pytest.fixture
def npu_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Put an npu-smi on the PATH that prints ``text`` and ends with ``code``; ``board`` is its answer to -t board."""

    def place(text: str, code: int = 0, board: str = "") -> None:
        (tmp_path / "table").write_text(text)
        (tmp_path / "board").write_text(board)
        tool = tmp_path / "npu-smi"
        tool.write_text(
            f'#!/bin/sh\n[ "$2" = -t ] && exec cat "{tmp_path}/board"\ncat "{tmp_path}/table"\nexit {code}\n'
        )
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return place


def _table(*chips: str) -> str:
    rows = ["| npu-smi 24.1.0.1                 Version: 24.1.0.1     |"]
    for number, chip in enumerate(chips):
        rows += [_ROWS[chip].format(32 * number), _SECOND.format(number)]
    return "\n".join(rows) + "\n"


def test_auto_is_the_cpu_without_npu_smi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert soc.resolve("auto") == "cpu"


@pytest.mark.parametrize(
    ("chips", "expected"),
    [
        (["310P3"], "Ascend310P3"),
        (["310P3", "310P3"], "Ascend310P3"),
        (["310"], "Ascend310"),
        (["310B4"], "Ascend310B4"),
    ],
)
def test_auto_is_the_chip_of_npu_smi(npu_smi, chips: list, expected: str) -> None:  # type: ignore[no-untyped-def]
    npu_smi(_table(*chips))
    assert soc.resolve("auto") == expected


def test_auto_asks_the_board_of_an_a3(npu_smi) -> None:  # type: ignore[no-untyped-def]
    board = "\tNPU ID                         : 0\n\tChip Name                      : Ascend910\n"
    npu_smi(_table("Ascend910"), board=board + "\tNPU Name                       : 9392\n")
    assert soc.resolve("auto") == "Ascend910_9392"


def _refused(name: str) -> str:
    with pytest.raises(RequestError) as caught:
        soc.resolve(name)
    return str(caught.value)


def test_auto_refuses_what_it_cannot_tell(npu_smi) -> None:  # type: ignore[no-untyped-def]
    npu_smi(_table("310P3", "310B4"))
    assert "different chips: Ascend310B4, Ascend310P3" in _refused("auto")
    npu_smi("dcmi module initialize failed. ret is -8005\n", code=1)
    line = _refused("auto")
    assert "ret is -8005" in line and "make doctor" in line and "SOC=cpu" in line
    npu_smi(_table("Ascend910"))
    assert "only the family Ascend910" in _refused("auto")


@pytest.mark.parametrize("name", ["cpu", "Ascend310", "Ascend910B4-1", "Ascend310P3Vir04", "Ascend950PR_9599"])
def test_known_names(name: str) -> None:
    assert soc.resolve(name) == name


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Ascend31OP3", "Ascend310P3"),
        ("ascend310p3", "Ascend310P3"),
        ("310P3", "Ascend310P3"),
        ("910b4", "Ascend910B4"),
        ("CPU", "cpu"),
        ("auot", "auto"),
    ],
)
def test_did_you_mean(name: str, meant: str) -> None:
    line = _refused(name)
    assert repr(name) in line
    assert f"did you mean {meant}?" in line


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Ascend310P", ["Ascend310P1", "Ascend310P3"]), ("Ascend310B", ["Ascend310B1", "Ascend310B4"])],
)
def test_families_name_their_variants(name: str, expected: list) -> None:
    line = _refused(name)
    assert "npu-smi info" in line
    assert all(word in line for word in expected)


@pytest.mark.parametrize("name", ["Ascend910_9363", "Ascend350_355e", "Ascend310P3Vir02", "Ascend950PR_9599", "cpu"])
def test_names_of_the_newest_cann_need_no_word(name: str) -> None:
    assert (soc.resolve(name), soc.doubt(name)) == (name, "")


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Ascend999X1", "believed"),
        ("Ascend310P33", "did you mean Ascend310P3?"),
        ("Ascend310P4", "in no CANN"),
        ("Ascend310P2", "in no CANN"),
        ("Ascend310", "has left CANN"),
    ],
)
def test_other_names_are_believed_with_a_word(name: str, word: str) -> None:
    assert soc.resolve(name) == name
    assert word in soc.doubt(name)
    # What the CANN of this host has a platform file of is beyond doubt.
    assert soc.doubt(name, [name, "Ascend310P3"]) == ""
    assert "has no platform file" in soc.doubt(name, ["Ascend310P3"])


def test_auto_believes_as_much_as_an_explicit_name(npu_smi) -> None:  # type: ignore[no-untyped-def]
    npu_smi(_table("310P3").replace("310P3", "410X1"))
    assert soc.resolve("auto") == soc.resolve("Ascend410X1") == "Ascend410X1"
    assert "believed" in soc.doubt("Ascend410X1")


def test_a_chip_that_left_is_told_of_where_it_left() -> None:
    assert soc.doubt("Ascend310", (), (8, 1)) == ""
    assert soc.doubt("Ascend310", (), (8, 5)) != ""


@pytest.mark.parametrize(
    ("name", "chip"),
    [
        ("Ascend310", "310"),
        ("Ascend310P3Vir01", "310p"),
        ("Ascend310B4", "310b"),
        ("Ascend910B", "910"),
        ("Ascend910ProB", "910"),
        ("Ascend910B2C", "910b"),
        ("Ascend910_9363", "a3"),
        ("Ascend950PR_9599", "950"),
    ],
)
def test_operator_package_of_a_chip(name: str, chip: str) -> None:
    assert soc.operator_chips(name)[0] == chip


@pytest.mark.parametrize("name", ["Ascend910", "Ascend950", "Ascend310B", "Ascend910_93"])
def test_families_are_not_believed(name: str) -> None:
    _refused(name)


@pytest.mark.parametrize("name", ["gpu", "Vir01", ""])
def test_strange_names_get_the_whole_list(name: str) -> None:
    assert all(known in _refused(name) for known in ("auto", "cpu", *soc.ASCEND))
