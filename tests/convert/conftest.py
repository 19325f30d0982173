from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest

from clip2om.convert.__main__ import main
from clip2om.pipeline.telemetry import silence

silence()


class Folders:
    """A graph folder and a place for the compiled model."""

    def __init__(self, root: Path) -> None:
        self.graph = root / "graph"
        self.output = root / "compiled"

    def convert(self, *more: object) -> int:
        return main(["--graph", str(self.graph), "--output", str(self.output), "--soc", "cpu", *map(str, more)])


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture) -> Callable:
    """Check that a run ended with exit 2 and one error line that holds all words."""

    def check(code: int, *words: str) -> None:
        lines = capsys.readouterr().err.splitlines()
        errors = [line for line in lines if "error:" in line]
        assert code == 2, lines
        assert len(errors) == 1, lines
        assert lines[-1] == errors[0]
        for word in words:
            assert word in errors[0], errors[0]

    return check
