"""The table of codes: both languages, evidence, and codes found in pasted logs of several releases."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from clip2om.pipeline.ascend_codes import codes_in, find, table, words_with
from tests.command import ROOT


def test_every_entry_speaks_both_languages_and_says_where_it_is_from() -> None:
    assert len(table()) > 180
    for code, meaning in table().items():
        assert meaning.code == code
        assert set(meaning.evidence.split("+")) <= set("DSOI"), code
        for text in (meaning.meaning, meaning.cause, meaning.todo):
            assert text.en and text.en.isascii(), code
            assert re.search(r"[\u4e00-\u9fff]", text.zh), code
            assert "\n" not in text.en + text.zh, code


@pytest.mark.parametrize(
    ("code", "name", "word"),
    [
        ("E10016", "", "not in the model"),
        ("e10016", "", "not in the model"),
        ("EZ3003", "", "kernel"),
        ("EC0010", "", "operator compiler"),
        ("W11001", "", "warning"),
        (107002, "CONTEXT_NULL", "no device context"),
        ("145013", "DYNAMIC_BATCH_SIZE_INVALID", "gears"),
        # 0x7BC80 stands in the trace of a model loaded on another chip (CANN 8).
        ("0x7BC80", "SOC_VERSION", "another SOC"),
    ],
)
def test_codes_are_found_in_every_spelling(code: object, name: str, word: str) -> None:
    meaning = find(code)  # type: ignore[arg-type]
    assert meaning is not None
    assert meaning.name == name
    assert word in meaning.meaning.en


@pytest.mark.parametrize("code", ["E99999", "107999", 0, "", "0x1", "W99999", "hello"])
def test_unknown_codes(code: object) -> None:
    assert find(code) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The error blocks of CANN up to 7, of 8 and of 9.
        ("E10007: [--framework] is required. The value must be [0(Caffe) or 5(Onnx)].", ["E10007"]),
        ("E10007: [PID: 10490] 2025-03-18-09:02:18.501.341 [--framework] is required.", ["E10007"]),
        ("[PID: 107002] 2025-03-18 Invalid_Argument(E10001): Value x for parameter y is invalid.", ["E10001"]),
        ("EZ3003: No supported Ops kernel\nE19999: Inner Error!\nEZ3003 again", ["EZ3003", "E19999"]),
        ("ErrorNo: 145003(Model id invalid.) ret = 507899, in 107002.", ["145003", "507899", "107002"]),
        ("rtModelCheckCompatibility execute failed, ret: 0x7BC80", ["507008"]),
        ("W11001: deprecated\nATC run success", ["W11001"]),
        ("E12345 unknown to us", ["E12345"]),
        ("[ERROR] GE(69072,python3):2025-03-18-14:35:48.620.650 [ge_executor.cc:744]69072", []),
        ("1070020 a107002 107002b 3.107002 model_107002 999999 batch 10", []),
        ("", []),
    ],
)
def test_codes_in_logs(text: str, expected: list) -> None:
    assert codes_in(text) == expected


def test_nothing_is_read_before_it_is_asked_for() -> None:
    code = "import sys, pipeline.ascend_codes as a; print(a.table.cache_info().currsize, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["0", "False"]


def test_process_ids_are_no_codes() -> None:
    assert codes_in("[ERROR] GE(107002,atc.bin):2025-03-18 ErrorNo: 145003(Model id invalid.)") == ["145003"]


HOST = (
    "E10001: [PID: 1] 2026-09-01 Value [linux] for parameter [--host_env_os] is invalid. Reason: The OS linux is not "
    "within the support list of {}, and the OS type must be consistent with that of the opp."
)


@pytest.mark.parametrize(
    ("code", "text", "stage", "todo"),
    [
        ("E10001", HOST, "", "Ascend-cann-<chip>-ops"),
        ("E10001", "E10001: Value [a] for parameter [--precision_mode] is invalid.\n", "", "drop the --atc-arg"),
        ("E10001", "E10001: Value A for parameter soc_version is invalid. Reason: Model soc version", "", "SOC=auto"),
        ("E10001", "E10001: Value [Ascend1] for parameter [--soc_version] is invalid.", "", "compare SOC"),
        ("EE1001", "EE1001: Reason: Invalid device ID 8.", "run", "npu-smi info -m"),
        ("EE1001", "EE1001: Reason: ModelCheckCompatibility failed", "run", "SOC=auto"),
        ("EZ9999", "EZ9999: Inner Error!", "run", "plog"),
        ("EZ9999", "EZ9999: Inner Error!", "", "atc.log"),
        ("E89999", "E89999: Inner Error! op[Conv3D]", "", "atc.log"),
        ("EE9999", "EE9999: Inner Error!", "run", "plog"),
    ],
)  # fmt: skip
def test_what_stands_with_a_code_decides(code: str, text: str, stage: str, todo: str) -> None:
    meaning = find(code, words_with(code, f"before\n{text}\nafter"), stage)
    assert meaning is not None and todo in meaning.todo.en
    assert re.search(r"[\u4e00-\u9fff]", meaning.todo.zh)
