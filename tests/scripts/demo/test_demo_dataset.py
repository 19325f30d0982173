from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from clip2om.preprocess.activitynet import read as read_annotation
from clip2om.scripts.demo.dataset import PER_CLASS, plan_videos
from clip2om.scripts.demo.motions import FRAMES, LABELS, Video, render
from tests.command import ROOT, refused, stage

SMALL = ("--videos-per-class", 1)


def make(output: Path, *args: object) -> str:
    done = stage("scripts.demo_dataset", output, *SMALL, *args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def pictures(output: Path) -> dict:
    return {path.name: path.read_bytes() for path in output.rglob("*.mp4")}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("demo")
    make(output)
    return output


def test_it_is_a_function_of_the_seed(dataset: Path, tmp_path: Path) -> None:
    assert "16 videos" in make(tmp_path, "--workers", 1)
    assert (tmp_path / "annotation.json").read_bytes() == (dataset / "annotation.json").read_bytes()
    assert pictures(tmp_path) == pictures(dataset)
    assert len(pictures(dataset)) == 16


def test_videos_decode_to_as_many_frames_as_annotated(dataset: Path) -> None:
    import av

    database = json.loads((dataset / "annotation.json").read_text())["database"]
    for name, entry in database.items():
        label, (first, end) = entry["annotations"]["label"], entry["annotations"]["segment"]
        with av.open(str(dataset / "videos" / label / f"{name}.mp4")) as container:
            assert first == 1
            assert sum(1 for _ in container.decode(video=0)) == end - 1


def test_preprocess_reads_it(dataset: Path) -> None:
    for subset in PER_CLASS:
        annotation = read_annotation(str(dataset / "annotation.json"), subset)
        assert annotation.labels == list(LABELS)
        assert sorted(str(entry.label) for entry in annotation.entries) == list(LABELS)


def test_a_second_run_finds_it_up_to_date(tmp_path: Path) -> None:
    assert "8 rendered" in make(tmp_path, "--subset", "validation")
    before = pictures(tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")}
    assert "up to date" in make(tmp_path, "--subset", "validation")
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    # A run killed half-way: some videos, one of them under its temporary name, and no annotation.
    (tmp_path / "annotation.json").unlink()
    lost = min(stamps)
    lost.rename(lost.with_name(".partial-" + lost.name))
    assert "1 rendered" in make(tmp_path, "--subset", "validation")
    assert pictures(tmp_path) == before
    listed = (tmp_path / "annotation.json").read_bytes()
    assert "8 rendered" in make(tmp_path, "--subset", "all")
    # Batches of before stay those of the annotation.
    assert (tmp_path / "annotation.json").read_bytes() == listed
    assert before.items() < pictures(tmp_path).items()


def test_another_seed_replaces_the_videos(tmp_path: Path) -> None:
    make(tmp_path, "--subset", "validation")
    own = tmp_path / "videos" / "grow" / "my_own.mp4"
    own.write_text("somebody else's")
    before = pictures(tmp_path)
    assert "8 rendered" in make(tmp_path, "--subset", "validation", "--seed", 2)
    after = pictures(tmp_path)
    assert {name for name in before if before[name] == after[name]} == {own.name}


def test_classes_are_balanced_and_ids_distinct() -> None:
    videos = plan_videos(1, PER_CLASS)
    assert Counter((video.subset, video.label) for video in videos) == {
        (subset, label): count for subset, count in PER_CLASS.items() for label in LABELS
    }
    assert len({video.id for video in videos}) == len(videos)
    assert len({video.seed for video in videos}) == len(videos)
    lengths = [video.frames for video in videos]
    assert FRAMES[0] <= min(lengths) < 16
    assert 160 < max(lengths) <= FRAMES[1]
    shapes = {(video.width > video.height) - (video.width < video.height) for video in videos}
    assert shapes == {-1, 0, 1}


def test_some_ids_are_as_odd_as_real_ones() -> None:
    videos = plan_videos(1, {"validation": 2})
    odd = [video.id for video in videos if re.search(r"[^\w]", video.id)]
    assert len(odd) == len(LABELS)
    assert set("()[]!#&;+@-") <= set("".join(odd))
    assert not set(" ./\\") & set("".join(odd))


def test_more_videos_leave_the_first_ones_as_they_are() -> None:
    assert set(plan_videos(1, {"validation": 2})) < set(plan_videos(1, PER_CLASS))


def test_the_class_list_of_the_card_is_this_one() -> None:
    assert tuple((ROOT / "models" / "labels" / "motions.txt").read_text().split()) == LABELS


def moving(label: str, number: int) -> np.ndarray:
    """Frames of a square video as float (T, H, W, C)."""
    video = Video("x", label, "training", 112, 112, 48, f"{label} {number}")
    return np.stack([np.asarray(image, float) for image in render(video)])


def shift(frames: np.ndarray) -> float:
    """How far the moving part went in one direction: the lag at which columns of the next frames agree best."""
    edges = np.abs(np.diff(frames - np.median(frames, axis=0), axis=2)).sum(axis=(1, 3))
    lags = range(-6, 7)
    fits = [sum(float(now @ np.roll(later, -lag)) for now, later in zip(edges, edges[1:])) for lag in lags]
    return lags[int(np.argmax(fits))]


@pytest.mark.parametrize(("label", "sign"), [("move_left", -1), ("move_right", 1)])
def test_left_and_right_are_where_the_viewer_sees_them(label: str, sign: int) -> None:
    assert [np.sign(shift(moving(label, number))) for number in range(4)] == [sign] * 4


@pytest.mark.parametrize(("label", "low", "high"), [("blink_fast", 22, 24), ("blink_slow", 5, 9)])
def test_blinking_rates(label: str, low: int, high: int) -> None:
    for number in range(4):
        switches = np.abs(np.diff(moving(label, number), axis=0)).max(axis=3) > 80
        assert low <= switches.sum(axis=0).max() <= high


@pytest.mark.parametrize("label", LABELS)
def test_noise_makes_every_frame_different(label: str) -> None:
    assert len({frame.tobytes() for frame in moving(label, 0)}) == 48


def test_refusals(tmp_path: Path) -> None:
    refused(stage("scripts.demo_dataset", tmp_path, "--videos-per-class", 0), "--videos-per-class", "1 or more")
    (tmp_path / "file").write_text("in the way")
    refused(stage("scripts.demo_dataset", tmp_path / "file", *SMALL), "file")
