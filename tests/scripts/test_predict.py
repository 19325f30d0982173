"""Labels of single videos: what is refused, and what goes on in spite of a bad file (agreement: tests/test_make.py)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import refused, stage


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    assert stage("export", "--model", "3d_resnet_demo", "--output", folder / "graph").returncode == 0
    given = ["--graph", folder / "graph", "--soc", "cpu", "--output", folder / "compiled"]
    assert stage("convert", "--model", "3d_resnet_demo", *given).returncode == 0
    assert stage("scripts.demo_dataset", folder, "--subset", "validation", "--videos-per-class", 1).returncode == 0
    return folder


def _predict(model: Path, *args: object):  # type: ignore[no-untyped-def]
    return stage("scripts.predict", "--model", "3d_resnet_demo", "--compiled", model / "compiled", *args)


def test_folder_of_videos_with_a_bad_one(model: Path, tmp_path: Path) -> None:
    video = next((model / "videos" / "grow").glob("*.mp4"))
    (tmp_path / "good one.mp4").write_bytes(video.read_bytes())
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    done = _predict(model, tmp_path, "--json", "-k", 3)
    assert done.returncode == 0, done.stderr
    bad, good = (json.loads(line) for line in done.stdout.splitlines())
    assert (bad["clips"], bad["top"]) == (0, [])
    assert "cannot be opened" in bad["problem"]
    assert good["clips"] >= 1
    assert len(good["top"]) == 3
    assert sum(item["score"] for item in good["top"]) <= 1.0001
    assert "bad.mp4: cannot be opened" in done.stderr


def test_bars_for_people(model: Path) -> None:
    video = next((model / "videos" / "shrink").glob("*.mp4"))
    done = _predict(model, video, "-k", 2)
    assert done.returncode == 0, done.stderr
    head, first, second = done.stdout.splitlines()
    assert head.startswith(str(video))
    assert float(first.split()[-2]) >= float(second.split()[-2])


def test_nothing_usable(model: Path, tmp_path: Path) -> None:
    refused(_predict(model, tmp_path), "is no video and no folder of videos")
    (tmp_path / "text.mp4").write_text("no video")
    refused(_predict(model, tmp_path / "text.mp4"), "none of the videos can be decoded")


def test_model_of_another_card(model: Path) -> None:
    done = stage("scripts.predict", "--model", "3d_resnet", "--compiled", model / "compiled", model / "videos" / "grow")
    refused(done, "takes input uint8 10x3x16x64x64", "card 3d_resnet makes", "--model 3d_resnet_demo")


def test_labels_that_do_not_fit(model: Path, tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text('["a", 3]')
    refused(_predict(model, model / "videos" / "grow", "--labels", tmp_path / "list.json"), "holds no list of labels")
    (tmp_path / "two.txt").write_text("a b\nc\n")
    refused(_predict(model, model / "videos" / "grow", "--labels", tmp_path / "two.txt"), "2 labels for 8 classes")
    refused(_predict(model, model / "videos" / "grow", "--labels", "none.txt"), "none.txt: no such file")
    refused(stage("scripts.predict", "--compiled", tmp_path, "x.mp4"), "model.json: no such file", "make om")
