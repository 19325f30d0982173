"""Scores under another order of the classes are told from those of a network that is wrong."""

import numpy as np
import pytest

from clip2om.postprocess.class_order import other_order
from tests.postprocess.cases import LABELS, sure
from tests.postprocess.conftest import Case


def test_another_order_is_named_with_how_many_would_be_right(case: Case, capsys: pytest.CaptureFixture) -> None:
    videos = [
        sure(f"{label}{number}", label, LABELS[::-1][LABELS.index(label)]) for label in LABELS for number in "abcd"
    ]
    assert case.build(videos).own().run() == 0
    said = capsys.readouterr()
    assert "top-1 accuracy: 0.0000" in said.out
    (line,) = (line for line in said.err.splitlines() if "another order of the classes" in line)
    assert "24 of 24 videos would be right under it, 0 are" in line and "'left' is 'shrink'" in line
    assert "dataset.labels" in line


def test_the_right_order_and_a_bad_network_are_not_warned_of(case: Case, capsys: pytest.CaptureFixture) -> None:
    assert case.build([sure(f"{label}{number}", label, label) for label in LABELS for number in "abc"]).own().run() == 0
    assert "another order" not in capsys.readouterr().err
    random = np.random.default_rng(0)
    for videos in (18, 40, 600):
        truth, guesses = np.arange(videos) % 6, random.integers(0, 6, videos)
        assert other_order(truth, guesses, LABELS) is None


@pytest.mark.parametrize("shift", [1, 5])
def test_labels_counted_from_one_are_found_under_errors(shift: int) -> None:
    random, labels = np.random.default_rng(1), [str(number) for number in range(50)]
    truth = np.arange(500) % 50
    predicted = np.where(random.random(500) < 0.75, (truth + shift) % 50, random.integers(0, 50, 500))
    found = other_order(truth, predicted, labels)
    assert found is not None and found.hits >= (predicted == (truth + shift) % 50).sum() and len(found.pairs) == 50


def test_one_video_of_each_class_fits_any_order_and_says_nothing() -> None:
    assert other_order(np.arange(6), np.arange(6)[::-1], LABELS) is None
    assert other_order(np.zeros(0, int), np.zeros(0, int), LABELS) is None
