"""scripts.explain as its user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import ROOT, refused, stage
from tests.convert.graphs import Graph, write_graph

_LOG = """ATC start working now, please wait for a moment.
ATC run failed, Please check the detail log, Try 'atc --help' for more information
E10016: [PID: 10490] 2025-03-18-09:02:18.501.341 Opname [x] specified in [--input_shape] is not found in the model
        TraceBack: ret: 0x7BC80
"""


def explain(*args: object, **options: object) -> subprocess.CompletedProcess:
    return stage("scripts.explain", *args, **options)  # type: ignore[arg-type]


def test_both_languages_by_default() -> None:
    done = explain("E10016", 107002)
    assert done.returncode == 0
    assert "E10016\n" in done.stdout
    assert "107002 CONTEXT_NULL" in done.stdout
    for head in ("meaning:", "cause:", "try:", "含义:", "可能原因:", "建议:", "依据: 厂商文档"):
        assert done.stdout.count(head) == 2


def test_one_language() -> None:
    assert explain("EZ3003", "--lang", "en").stdout.isascii()
    chinese = explain("EZ3003", "--lang", "zh").stdout
    assert "含义" in chinese and "meaning" not in chinese


@pytest.mark.parametrize("source", ["file", "stdin", "argument"])
def test_pasted_logs(source: str, tmp_path: Path) -> None:
    path = tmp_path / "atc.log"
    path.write_text(_LOG)
    if source == "stdin":
        command = [sys.executable, "-m", "scripts.explain", "--log", "-"]
        done = subprocess.run(command, cwd=ROOT, input=_LOG, capture_output=True, text=True)
    else:
        done = explain("--log", path) if source == "file" else explain(_LOG)
    assert done.returncode == 0, done.stderr
    heads = [line for line in done.stdout.splitlines() if line and not line.startswith(" ")]
    assert heads == ["E10016", "507008 SOC_VERSION"]


def test_unknown_code_after_a_known_one() -> None:
    done = explain("E10016", "E98765")
    refused(done, "E98765", "not a code this release knows")
    assert "E10016\n" in done.stdout


def test_nothing_to_explain(tmp_path: Path) -> None:
    refused(explain(), "nothing to explain", "--log FILE")
    (tmp_path / "empty.log").touch()
    refused(explain("--log", tmp_path / "empty.log"), "holds no code")
    refused(explain("--log", tmp_path / "none.log"), "no such file")


def test_inputs_of_the_graph(tmp_path: Path) -> None:
    write_graph(tmp_path / "graph")
    where = ("--model", "3d_resnet", "--graph", tmp_path / "graph", "--lang", "en")
    done = explain(_LOG, *where)
    assert "input float32 4x3x4x8x8 NCTHW" in done.stdout
    assert "'x', named in the log, is not among them" in done.stdout
    assert "the graph is not what its record says" in explain(_LOG.replace("[x]", "[input]"), *where).stdout
    assert "the batch is fixed: export with --dynamic-batch" in explain("E10031", *where).stdout
    write_graph(tmp_path / "graph", Graph(batch=-1, input="frames"))
    other = explain("E10031", *where).stdout
    assert "the batch is open" in other
    assert "card 3d_resnet calls the input 'input'" in other
    refused(explain("E10016", "--model", "3d_resnet", "--graph", tmp_path / "none"), "no such file", "export")
    assert "pass --model CARD" in explain("E10016").stdout


def test_checks_of_this_host(tmp_path: Path) -> None:
    stubs = {**os.environ, "LD_LIBRARY_PATH": "/cann/x86_64-linux/devlib:/lib"}
    assert "LD_LIBRARY_PATH holds /cann/x86_64-linux/devlib" in explain(100039, env=stubs).stdout
    plain = {**os.environ, "LD_LIBRARY_PATH": ""}
    assert "holds no stubs" in explain(100039, env=plain).stdout
    assert "make doctor" in explain(507033, "--lang", "en").stdout
    npu = {**os.environ, "PATH": f"{ROOT}/tests/cann_sim/bin:{os.environ['PATH']}", "CANN_SIM_SOC": "Ascend310B4"}
    assert "this host has Ascend310B4" in explain(507008, env=npu).stdout
