"""The samplers against the frame lists of the recipes' own code (tests/data/clip_indices.json, pre_*.json)."""

import json

import pytest

from clip2om.pipeline.card import Clips
from clip2om.preprocess.sampling import Sampler, fixed_starts, spread, windows
from tests.formula import DATA

_GOLDEN = json.loads((DATA / "clip_indices.json").read_text())
_LENGTHS = sorted(_GOLDEN["3d_resnet"], key=int)
_R2PLUS1D = Clips("spread", 16, span=32, start="random", seed=1)
_BY_NAME = Clips("spread", 16, span=32, start="random", seed=1, order="lexicographic")
_R2PLUS1D_NAME = "0000{}.jpg"


def _clips(rule: Clips, first: int, count: int, name: str = "image_{:05d}.jpg") -> list:
    return [list(clip) for clip in Sampler(rule, name).clips(first, first + count)]


@pytest.mark.parametrize("length", _LENGTHS)
def test_every_recipe(length: str) -> None:
    count = int(length)
    assert _clips(Clips("windows", 16, stride=16), 1, count) == _GOLDEN["3d_resnet"][length]
    assert _clips(Clips("uniform", 16, count=10), 1, count) == _GOLDEN["c3d_paddle"][length]
    c3d = _GOLDEN["c3d_tf"][length]
    assert _clips(Clips("consecutive", 16), 1, count) == [c3d.get("frames_1based_center") or c3d["frames_1based"]]
    r2plus1d = _GOLDEN["r2plus1d_mindspore"][length]
    assert _clips(_R2PLUS1D, 0, count) == [r2plus1d["sorted_positions"]]
    assert _clips(_BY_NAME, 0, count, _R2PLUS1D_NAME) == [r2plus1d["true_frames_0based"]]


def test_python_generator_of_c3d_tf_over_a_whole_list() -> None:
    golden = json.loads((DATA / "pre_c3d_tf.json").read_text())
    sampler = Sampler(Clips("consecutive", 16, start="random", seed=2024), "")
    starts = [sampler.clips(0, video["n_frames"])[0][0] for video in golden["videos"]]
    assert starts == golden["modes"]["formula_mean/seed2024"]["starts"]


@pytest.mark.parametrize(("rule", "key"), [(_R2PLUS1D, "sorted_positions"), (_BY_NAME, "true_frames_0based")])
def test_legacy_generator_of_r2plus1d_over_a_whole_dataset(rule: Clips, key: str) -> None:
    sampler = Sampler(rule, _R2PLUS1D_NAME)
    for video in json.loads((DATA / "pre_r2plus1d_mindspore.json").read_text())["videos"]:
        assert [list(clip) for clip in sampler.clips(0, video["n_frames"])] == [video[key]], video["video"]


@pytest.mark.parametrize("sampler", ["uniform", "consecutive", "spread"])
@pytest.mark.parametrize("count", [1, 2, 3, 15, 16, 17, 31, 32, 33, 300])
def test_as_many_clips_as_asked_for_and_no_frame_from_outside(sampler: str, count: int) -> None:
    for start in ("first", "center", "even", "random"):
        clips = _clips(Clips(sampler, 16, count=5 if start == "even" else 1, span=32, start=start), 4, count)
        assert len(clips) == (5 if start == "even" else 1)
        assert all(len(clip) == 16 and min(clip) >= 4 and max(clip) < 4 + count for clip in clips)


def test_fixed_starts_reach_both_ends() -> None:
    assert fixed_starts("even", 84, 4) == [0, 28, 56, 84]
    assert fixed_starts("even", 85, 1) == fixed_starts("center", 85, 1) == [42]
    assert fixed_starts("first", 85, 1) == [0]
    assert _clips(Clips("spread", 16, span=32, count=3, start="even"), 0, 100)[2][-1] == 99


def test_segment_that_starts_later() -> None:
    assert _clips(Clips("windows", 16, stride=16), 5, 25) == [list(range(5, 21)), [*range(21, 30), *range(21, 28)]]


def test_overlapping_windows_stop_at_the_first_short_one() -> None:
    assert [(min(clip), max(clip)) for clip in windows(28, 16, 8)] == [(0, 15), (8, 23), (16, 27)]


def test_stride_longer_than_a_clip_leaves_frames_out() -> None:
    assert [(min(clip), max(clip)) for clip in windows(69, 16, 32)] == [(0, 15), (32, 47), (64, 68)]


def test_span_shorter_than_a_clip_repeats_frames() -> None:
    assert spread(0, 10, 8, 4) == (0, 0, 1, 1, 2, 2, 3, 3)
