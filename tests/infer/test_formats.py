"""Score files as raw values, NumPy files and text: the same numbers, and never a mixture in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import List

import numpy as np
import pytest

from clip2om.infer.scores import FORMATS, encode
from tests.command import refused, stage
from tests.convert.graphs import Graph
from tests.infer.cases import Case
from tests.infer.npu import Npu


def read(path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    return np.loadtxt(path, np.float32, ndmin=2) if path.suffix == ".txt" else np.fromfile(path, "<f4").reshape(-1, 5)


def names(case: Case) -> List[str]:
    return sorted(path.name for path in case.output.iterdir() if path.name.startswith("batch_"))


def test_text_is_that_of_the_tools_with_more_digits() -> None:
    array = np.array([[[0.1, -2.5e-8], [3.0, 1e30]]], np.float32)
    assert encode(array, "txt") == b"0.100000001 -2.50000003e-08 \n3 1.00000002e+30 \n"
    random = np.random.RandomState(0).randn(200, 3).astype(np.float32)
    back = np.array([line.split() for line in encode(random, "txt").decode().splitlines()], np.float64)
    np.testing.assert_array_equal(back.astype(np.float32), random)


def test_all_formats_hold_the_same_numbers_and_replace_each_other(case: Case) -> None:
    case.build(count=6)
    found = {}
    for form in ("bin", "txt", "npy", "bin"):
        assert case.infer("--output-format", form) == 0
        assert names(case) == [f"batch_0000{number}_0.{form}" for number in range(2)]
        assert [file.name for file in case.summary().files] == names(case)
        found[form] = [read(case.output / name) for name in names(case)]
        before = case.state()
        assert case.infer("--output-format", form) == 0
        assert {name: facts for name, facts in case.state().items() if name != ".lock"} == {
            name: facts for name, facts in before.items() if name != ".lock"
        }
    for form in FORMATS:
        for one, other in zip(found["bin"], found[form]):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("engine", ["acl", "ais_bench", "msame"])
def test_npu_engines_write_them_too(npu: Npu, engine: str) -> None:
    npu.build(Graph(-1, clips=3), count=4)
    npu.passes("--engine", engine)
    raw = npu.case.results()["batch_00000_0.bin"]
    for form in ("npy", "txt"):
        done = npu.infer("--engine", engine, "--output-format", form)
        assert done.returncode == 0, done.stderr
        assert names(npu.case) == [f"batch_00000_0.{form}"]
        array = read(npu.case.output / names(npu.case)[0])
        assert array.shape == ((4, 3, 5) if form == "npy" else (12, 5))
        assert array.astype(np.float32).tobytes() == raw


def test_an_interrupted_run_of_another_format_is_not_gone_on_with(case: Case) -> None:
    case.build(count=10)
    assert case.infer() == 0
    (case.output / "summary.json").unlink()
    assert case.infer("--output-format", "txt") == 0
    assert case.summary().throughput.resumed_batches == 0  # type: ignore[union-attr]
    assert names(case) == [f"batch_0000{number}_0.txt" for number in range(3)]


def test_no_such_format() -> None:
    refused(stage("infer", "--output-format", "csv"), "--output-format", "invalid choice: 'csv'")
