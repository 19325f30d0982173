from __future__ import annotations

from pathlib import Path
from typing import Callable, List, Sequence

import pytest

from clip2om.postprocess.__main__ import main
from tests.postprocess.cases import CARD, Item, make_batches, outputs, write_own


class Case:
    """A folder with batches/, scores/ and results/ of one small dataset."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.batches = root / "batches"
        self.scores = root / "scores"
        self.results = root / "results"

    def build(self, items: Sequence[Item], **options: object) -> "Case":
        self.manifest = make_batches(self.batches, items, **options)  # type: ignore[arg-type]
        self.arrays = outputs(self.manifest, items)
        return self

    def own(self, dtype: str = "float32") -> "Case":
        write_own(self.scores, self.batches, self.arrays, dtype)
        return self

    def argv(self, *more: object) -> List[str]:
        base = ["--model", CARD, "--batches", self.batches, "--scores", self.scores, "--output", self.results]
        return [str(arg) for arg in [*base, *more]]

    def run(self, *more: object) -> int:
        return main(self.argv(*more))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


@pytest.fixture
def fails(capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Return a check that a run ended with ``code`` and one error line that holds all words."""

    def check(code: int, *words: str, expected: int = 2) -> str:
        text = capsys.readouterr().err
        assert code == expected, text
        errors = [line for line in text.splitlines() if "error:" in line]
        assert len(errors) == 1, text
        for word in words:
            assert word in errors[0], errors[0]
        return errors[0]

    return check
