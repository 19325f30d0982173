"""Something-Something v2, Moments in Time and Diving48 in the forms that they are published in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clip2om.scripts.dataset.annotate import main


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def _frames(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(1, count + 1):
        (folder / f"image_{number:05d}.jpg").touch()


def _annotated(root: Path, dataset: str, name: str) -> dict:
    assert main([dataset, str(root / "lists"), str(root / "videos"), str(root / "out"), "--quiet"]) == 0
    found = json.loads((root / "out" / name).read_text())
    listed = (root / "out" / f"{dataset}_labels.txt").read_text().splitlines()
    assert listed == found["labels"]
    return found


@pytest.mark.parametrize("prefix", ["something-something-v2-", ""])
def test_something_something(tmp_path: Path, prefix: str) -> None:
    lists = tmp_path / "lists"
    _write(lists / f"{prefix}labels.json", {"Holding something": "1", "Approaching something with your camera": "0"})
    entry = {
        "id": "78687",
        "label": "holding a potato",
        "template": "Holding [something]",
        "placeholders": ["a potato"],
    }
    _write(lists / f"{prefix}train.json", [entry])
    other = {"id": "41775", "template": "Approaching [something] with your camera"}
    _write(lists / f"{prefix}validation.json", [other])
    _write(lists / f"{prefix}test.json", [{"id": "1420"}])
    for number, name in enumerate(("78687", "41775", "1420")):
        _frames(tmp_path / "videos" / name, 3 + number)
    found = _annotated(tmp_path, "something", "something_v2.json")
    assert found["labels"] == ["Approaching something with your camera", "Holding something"]
    assert found["database"]["78687"] == {
        "subset": "training",
        "annotations": {"label": "Holding something", "segment": [1, 4]},
        "video_path": "78687",
    }
    assert found["database"]["41775"]["annotations"]["segment"] == [1, 5]
    assert "label" not in found["database"]["1420"]["annotations"]


def test_moments_in_time(tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    _write(lists / "moments_categories.txt", "clapping,1\nadult+male+singing,0\n")
    _write(lists / "trainingSet.csv", "clapping/flickr-0-2-1.mp4,clapping,3,1\n")
    _write(lists / "validationSet.csv", "adult+male+singing/yt-x_1.mp4,adult+male+singing,2,0\n")
    _frames(tmp_path / "videos" / "training" / "clapping" / "flickr-0-2-1", 4)
    _frames(tmp_path / "videos" / "validation" / "adult+male+singing" / "yt-x_1", 5)
    found = _annotated(tmp_path, "moments", "moments_1.json")
    assert found["labels"] == ["adult+male+singing", "clapping"]
    assert found["database"]["flickr-0-2-1"]["video_path"] == "training/clapping/flickr-0-2-1"
    assert found["database"]["yt-x_1"]["subset"] == "validation"


def test_diving48_takes_version_2_of_its_lists(tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    _write(lists / "Diving48_vocab.json", [["Back", "15som", "05Twis", "FREE"], ["Reverse", "Dive", "NoTwis", "PIKE"]])
    for version, label in (("V2_", 1), ("", 0)):
        for stem in ("train", "test"):
            entry = {"vid_name": f"x_{stem}", "label": label, "start_frame": 0, "end_frame": 9}
            _write(lists / f"Diving48_{version}{stem}.json", [entry])
    for stem in ("train", "test"):
        _frames(tmp_path / "videos" / f"x_{stem}", 6)
    found = _annotated(tmp_path, "diving48", "diving48_1.json")
    assert found["database"]["x_test"]["subset"] == "validation"
    assert found["database"]["x_test"]["annotations"]["label"] == "Reverse_Dive_NoTwis_PIKE"


def test_other_files_are_refused_by_name(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lists = tmp_path / "lists"
    (tmp_path / "videos").mkdir()
    _write(lists / "labels.json", {"Holding something": "1"})
    for dataset, words in (
        ("something", "numbers 1 classes otherwise"),
        ("moments", "holds no moments_categories.txt"),
        ("diving48", "holds no Diving48_vocab.json"),
    ):
        assert main([dataset, str(lists), str(tmp_path / "videos"), str(tmp_path / "out")]) == 2
        assert words in capfd.readouterr().err
    _write(lists / "Diving48_vocab.json", [["Back"]])
    _write(lists / "Diving48_train.json", [{"vid_name": "../x", "label": 0}])
    assert main(["diving48", str(lists), str(tmp_path / "videos"), str(tmp_path / "out")]) == 2
    assert "is not a plain file name" in capfd.readouterr().err
