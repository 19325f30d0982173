import json

import pytest

from preprocess.sampling import windows
from tests.formula import DATA

_GOLDEN = json.loads((DATA / "clip_indices.json").read_text())["3d_resnet"]


@pytest.mark.parametrize("length", sorted(_GOLDEN, key=int))
def test_windows_are_those_of_the_recipe(length: str) -> None:
    found = [window.frames(16) for window in windows(1, int(length) + 1, 16, 16)]
    assert found == _GOLDEN[length]


def test_segment_that_starts_later() -> None:
    assert [(w.first, w.last) for w in windows(5, 30, 16, 16)] == [(5, 20), (21, 29)]


def test_overlapping_windows_stop_at_the_first_short_one() -> None:
    assert [(w.first, w.last) for w in windows(1, 29, 16, 8)] == [(1, 16), (9, 24), (17, 28)]


def test_stride_longer_than_a_clip_leaves_frames_out() -> None:
    assert [(w.first, w.last) for w in windows(1, 70, 16, 32)] == [(1, 16), (33, 48), (65, 69)]
