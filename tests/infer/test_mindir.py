"""MINDIR models on a host without MindSpore: what is said. How they run is tested with MindSpore's own suite."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable

import pytest

from clip2om.pipeline.records import CompiledRecord, read_record, write_record
from tests.convert.process import without
from tests.infer.cases import Case

_REMEDY = "make .venv/mindspore/.ready, then .venv/mindspore/bin/python -m infer (make: GRAPH_FORMAT=mindir)"


def _mindir(case: Case) -> None:
    case.build(form="onnx")
    path = case.compiled / "model.json"
    write_record(path, replace(read_record(path, CompiledRecord, ""), format="mindir"))


def test_auto_names_the_environment_that_has_it(case: Case) -> None:
    _mindir(case)
    done = without("mindspore", "infer", case.argv())
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert "is a model of format mindir, which runs on mindspore, not installed here" in line and _REMEDY in line


def test_engine_that_is_asked_for_names_it_too(case: Case) -> None:
    _mindir(case)
    done = without("mindspore", "infer", case.argv("--engine", "mindspore"))
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert done.returncode == 2 and "the mindspore engine is not installed" in line and _REMEDY in line


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "acl"])
def test_other_engines_do_not_run_it(case: Case, refused: Callable, engine: str) -> None:
    _mindir(case)
    refused(case.infer("--engine", engine), "is a model of format mindir", f"the {engine} engine runs")


def test_the_engine_runs_nothing_else(case: Case, refused: Callable) -> None:
    case.build()
    refused(case.infer("--engine", "mindspore"), "the mindspore engine runs mindir", "convert with --format mindir")
