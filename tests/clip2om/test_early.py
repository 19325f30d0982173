"""What can be known to be wrong before the first stage is refused then, and nothing is made."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from clip2om.pipeline import cards
from clip2om.pipeline.errors import RequestError
from clip2om.preprocess.annotations import read_annotation
from clip2om.space import check_space
from clip2om.values import Values
from tests.command import ROOT, refused


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with an annotation of the demo's eight classes and (empty) videos."""
    labels = (ROOT / "models" / "labels" / "motions.txt").read_text().split()
    database = {
        f"v{number}": {"subset": "validation", "annotations": {"label": label}} for number, label in enumerate(labels)
    }
    (tmp_path / "annotation.json").write_text(json.dumps({"labels": labels, "database": database}))
    (tmp_path / "videos").mkdir()
    return tmp_path


def _clip2om(data: Path, *words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "clip2om", *map(str, words)]
    paths = ["--build", data / "build", "--python", sys.executable]
    return subprocess.run([*command, *map(str, paths)], cwd=ROOT, capture_output=True, text=True, timeout=60)


def _of(data: Path) -> list:
    given = ["--video-path", data / "videos", "--annotation-path", data / "annotation.json"]
    return ["--model", "3d_resnet_demo", "--soc", "cpu", *given]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-k", "9"], "9 classes are asked for, the card has 8"),
        (["--min-accuracy", "95"], "did you mean 0.95?"),
        (["--engine", "acl"], "acl cannot run a model for cpu"),
        (["--batch", "4,8"], "accuracy takes one batch size"),
        (["--dynamic-batch", "4,8"], "is for an NPU"),
        (["--precision", "int8", "--calibration", "20"], "20 clips are too few"),
        (["--precision", "int8", "--batch", "1,4"], "takes one batch size"),
        (["--checkpoint", "none.pth"], "none.pth: no such checkpoint; check the path"),
        (["--set", "model.depht=18"], "depht"),
        (["--set", "dataset.labels=hmdb51"], "dataset.labels has 51 classes, model.classes is 8"),
        (["--subset", "testing"], "has no video of subset 'testing'"),
        (["--soc", "gpu"], "'gpu' is not a SOC"),
        (["--soc", "Ascend310P3"], "atc is not on the PATH"),
    ],
)
def test_refused_before_anything_is_made(data: Path, words: list, expected: str) -> None:
    line = refused(_clip2om(data, "accuracy", *_of(data), *words))
    assert expected in line
    assert not (data / "build").exists()


def test_a_dataset_of_other_classes_is_refused_before_export(data: Path) -> None:
    annotation = json.loads((data / "annotation.json").read_text())
    annotation["labels"].append("another")
    (data / "annotation.json").write_text(json.dumps(annotation))
    refused(_clip2om(data, "accuracy", *_of(data)), "has 9 classes", "gives 8 scores", "--set model.classes=9")
    assert not (data / "build").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a pointer of git-lfs"),
        (b"\n<!DOCTYPE html><html>", "is a web page"),
    ],
)
def test_a_file_that_stands_for_weights_is_named(data: Path, content: bytes, words: str) -> None:
    (data / "save.pth").write_bytes(content)
    refused(_clip2om(data, "accuracy", *_of(data), "--checkpoint", data / "save.pth"), words)
    assert not (data / "build").exists()


def test_videos_that_are_not_there_are_named_with_the_option(data: Path) -> None:
    shutil.rmtree(data / "videos")
    refused(_clip2om(data, "accuracy", *_of(data)), "no such folder", "--video-path DIR")


def test_no_video_and_no_second_run_are_said_with_an_example(data: Path) -> None:
    refused(_clip2om(data, "predict", *_of(data)), "no video is named", "clip2om predict clip.mp4")
    command = [sys.executable, "-m", "clip2om", "compare", "a"]
    refused(subprocess.run(command, cwd=ROOT, capture_output=True, text=True), "two runs are needed")


def test_a_sweep_of_int8_is_refused_with_another_way(data: Path) -> None:
    done = _clip2om(data, "sweep", *_of(data), "--precision", "int8")
    refused(done, "a sweep measures the graph's own precision", "--loop 20")


def test_environments_that_cannot_be_made_are_refused_first(data: Path) -> None:
    old = data / "python3.9"
    old.write_text('#!/bin/sh\necho "3 9"\n')
    old.chmod(0o755)
    command = [sys.executable, "-m", "clip2om", "accuracy", *map(str, _of(data)), "--build", str(data / "build")]
    done = subprocess.run(
        [*command, "--venv", str(data / "venv"), "--venv-python", str(old)], cwd=ROOT, capture_output=True, text=True
    )
    words = "PyTorch, to export (with CUDA: 5.6 GB) needs Python 3.10 or newer"
    refused(done, words, "is 3.9", "VENV_PYTHON=python3.11")
    assert not (data / "venv").exists() and not (data / "build").exists()


def test_batches_that_cannot_fit_are_refused_before_export(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card, videos = cards.load("3d_resnet_demo"), data / "videos"
    annotation = read_annotation(card, str(data / "annotation.json"), "validation")
    places = [videos / str(entry.label) / entry.id for entry in annotation.entries]
    for place in places:
        place.mkdir(parents=True)

    def needs(room: int, **values: str) -> str:
        monkeypatch.setattr("clip2om.space.free", lambda path: room)
        given = Values({name: (value,) for name, value in values.items()})
        try:
            check_space(SimpleNamespace(values=given, card=card, prepared=data / "batches"), annotation, videos)
        except RequestError as error:
            return error.what
        return ""

    clip = 3 * 16 * 64 * 64
    assert "1.6 MB are needed for one clip of each of 8 videos" in needs(8 * clip - 1)
    assert not needs(8 * clip)
    assert not needs(8 * clip - 1, LIMIT="7")
    assert needs(8 * clip, DTYPE="float32")
    places[0].rmdir()
    assert not needs(7 * clip), "what is listed and was not copied takes no room"
    (data / "batches").mkdir()
    (data / "batches" / "0.bin").write_bytes(bytes(clip))
    assert not needs(6 * clip), "batches that are there are written over"
