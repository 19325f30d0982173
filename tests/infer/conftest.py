from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest

from clip2om.pipeline.telemetry import silence
from tests.infer.cases import Case
from tests.infer.npu import Npu

silence()


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


@pytest.fixture
def npu(tmp_path: Path) -> Npu:
    return Npu(tmp_path, Case(tmp_path))


@pytest.fixture
def refused(capsys: pytest.CaptureFixture) -> Callable:
    """Check that a run ended with exit 2 and one error line, the last one, that holds all words."""

    def check(code: int, *words: str) -> None:
        lines = capsys.readouterr().err.splitlines()
        errors = [line for line in lines if "error:" in line]
        assert code == 2, lines
        assert len(errors) == 1, lines
        assert lines[-1] == errors[0]
        for word in words:
            assert word in errors[0], errors[0]

    return check
