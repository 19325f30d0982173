"""The seeded division of class folders against the r2plus1d recipe's (tests/data/prep_r2plus1d_split.json)."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Dict, List

import pytest

from clip2om.pipeline.cards import load as load_card
from clip2om.preprocess.annotations import read_annotation
from clip2om.scripts.dataset.class_folders import divide
from tests.command import refused, stage
from tests.formula import DATA

GOLDEN = json.loads((DATA / "prep_r2plus1d_split.json").read_text())


def split(*args: object) -> str:
    done = stage("scripts.split_folders", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def tree(folder: Path) -> List[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != ".lock")


def division(folder: Path) -> Dict[str, List[str]]:
    return {part: (folder / f"{part}.txt").read_text().splitlines() for part in ("train", "val")}


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    for category, names in GOLDEN["input"].items():
        (tmp_path / "videos" / category).mkdir(parents=True)
        for name in names:
            (tmp_path / "videos" / category / name).write_text(name)
    return tmp_path / "videos"


def test_names_are_the_recipes_and_nothing_is_touched(videos: Path, tmp_path: Path) -> None:
    before = tree(videos)
    said = split(videos, tmp_path / "out")
    assert division(tmp_path / "out") == GOLDEN["split"]
    digest = hashlib.sha256("\n".join(GOLDEN["split"]["val"]).encode()).hexdigest()
    assert f"val.txt: 5 videos, SHA-256 of the names {digest}" in said
    assert "23 videos in 3 class folders" in said
    assert tree(videos) == before and tree(tmp_path / "out") == ["train.txt", "val.txt"]


def test_ucf101_is_divided_as_the_recipe_says() -> None:
    """13,320 videos: 10,656 for training and 2,664 for validation."""
    names = [f"c{number % 101:03d}/v{number:05d}.avi" for number in range(13320)]
    parts = divide(sorted(names), 0.8, None)
    assert (len(parts.train), len(parts.val)) == (10656, 2664)
    assert parts == divide(sorted(names), 0.8, 13320) != divide(sorted(names), 0.8, 1)


def test_links(videos: Path, tmp_path: Path) -> None:
    before = tree(videos)
    for _ in range(2):
        split(videos, tmp_path / "out", "--as", "links")
        for part, names in GOLDEN["split"].items():
            assert [name for name in tree(tmp_path / "out" / part) if "/" in name] == sorted(names)
            for name in names:
                assert os.readlink(tmp_path / "out" / part / name) == str(videos / name)
        # What was interrupted is made whole by the next run.
        (tmp_path / "out" / "val" / GOLDEN["split"]["val"][0]).unlink()
    split(videos, tmp_path / "out", "--as", "links")
    assert tree(videos) == before
    # Other files where the links would be are an error, and stay.
    other = tmp_path / "out" / "val" / GOLDEN["split"]["val"][0]
    other.unlink()
    other.write_text("mine")
    refused(stage("scripts.split_folders", videos, tmp_path / "out", "--as", "links"), "is no link to", str(other))
    assert other.read_text() == "mine"
    other.rename(other.with_name("mine.avi"))
    refused(stage("scripts.split_folders", videos, tmp_path / "out", "--as", "links"), "is not of this division")


def test_the_preprocess_stage_reads_the_links(videos: Path, tmp_path: Path) -> None:
    split(videos, tmp_path / "out", "--as", "links")
    base = Path(DATA / "post_items_card.toml").read_text()
    card = tmp_path / "card.toml"
    card.write_text(base.replace('"rawframes"\n', '"folders"\n').replace('labels = "ucf101"', 'labels = ""'))
    annotation = read_annotation(load_card(str(card)), str(tmp_path / "out"), "val")
    assert [f"{entry.label}/{entry.id}.avi" for entry in annotation.entries] == GOLDEN["split"]["val"]


def test_move_when_told_to_and_to_the_end_after_an_interruption(videos: Path, tmp_path: Path) -> None:
    (videos / "Alpha" / "notes.txt").write_text("keep me")
    split(videos, tmp_path / "out", "--as", "move")
    for part, names in GOLDEN["split"].items():
        assert [name for name in tree(tmp_path / "out" / part) if "/" in name] == sorted(names)
    assert tree(videos) == ["Alpha", "Alpha/notes.txt"]
    # As if it had been interrupted: two videos are where they were.
    for name in GOLDEN["split"]["train"][:2]:
        (tmp_path / "out" / "train" / name).rename(videos / name)
    split(videos, tmp_path / "out", "--as", "move")
    assert division(tmp_path / "out") == GOLDEN["split"]
    assert (tmp_path / "out" / "train" / GOLDEN["split"]["train"][0]).read_text() == "v_Alpha_g01_c02.avi"
    (tmp_path / "out" / "train" / GOLDEN["split"]["train"][0]).unlink()
    refused(stage("scripts.split_folders", videos, tmp_path / "out", "--as", "move"), "v_Alpha_g01_c02.avi: is gone")


def test_lists_of_c3d_tf(tmp_path: Path) -> None:
    root = tmp_path / "jpg"
    for label in ("Hammering", "HammerThrow", "archery"):
        for number in range(4):
            (root / label / f"v{number}").mkdir(parents=True)
    split(root, tmp_path / "out", "--as", "list", "--train-share", 0.75)
    lines = [(tmp_path / "out" / f"{part}.list").read_text().splitlines() for part in ("train", "test")]
    assert [len(part) for part in lines] == [9, 3]
    numbers = {line.split()[0].split("/")[-2]: int(line.split()[1]) for line in lines[0] + lines[1]}
    # Alphabetical without regard to case, as in classInd.txt.
    assert numbers == {"archery": 0, "Hammering": 1, "HammerThrow": 2}
    assert all(Path(line.split()[0]).is_dir() for line in lines[0] + lines[1])
    for text in ("1 HammerThrow\n2 archery\n3 Hammering\n", "HammerThrow\narchery\nHammering\n"):
        (tmp_path / "labels.txt").write_text(text)
        split(root, tmp_path / "out", "--as", "list", "--train-share", 0.75, "--labels", tmp_path / "labels.txt")
        text = (tmp_path / "out" / "train.list").read_text()
        assert "HammerThrow/v1 0" in text + (tmp_path / "out" / "test.list").read_text()
    (tmp_path / "labels.txt").write_text("HammerThrow\narchery\n")
    args = [root, tmp_path / "out", "--as", "list", "--labels", tmp_path / "labels.txt"]
    refused(stage("scripts.split_folders", *args), "class folder 'Hammering' is not among the 2 labels")


def test_what_is_no_video_is_passed_over(videos: Path, tmp_path: Path) -> None:
    (videos / "readme.txt").write_text("x")
    (videos / "Alpha" / "Thumbs.db").write_text("x")
    (videos / "Alpha" / ".hidden.avi").write_text("x")
    said = split(videos, tmp_path / "out")
    assert "no videos, passed over: readme.txt, Alpha/Thumbs.db" in said
    assert division(tmp_path / "out") == GOLDEN["split"]


def test_refusals(videos: Path, tmp_path: Path) -> None:
    def fails(*args: object, words: str) -> None:
        refused(stage("scripts.split_folders", *args), *words.split("|"))

    output = tmp_path / "out"
    fails(tmp_path / "none", output, words="no such folder|check VIDEOS")
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "v.avi").touch()
    fails(tmp_path / "flat", output, words="holds no class folder|VIDEOS/<class>/<video>")
    fails(videos, videos / "out", words="lies inside VIDEOS|choose another OUTPUT")
    fails(videos, output, "--train-share", 0.01, words="--train-share: 0.01 of 23 videos leaves none for training")
    fails(videos, output, "--train-share", 1, words="leaves none for validation")
    fails(videos, output, "--labels", "x", words="--labels: goes with --as list")
    fails(videos, output, "--as", "list", "--labels", tmp_path / "x", words="no such file|check --labels")
    (tmp_path / "twice.txt").write_text("a\na\n")
    fails(videos, output, "--as", "list", "--labels", tmp_path / "twice.txt", words="holds no class name, or one twice")
    (videos / "Gamma" / "v_Gamma_g01_c01.mkv").touch()
    fails(videos, output, words="v_Gamma_g01_c01.avi: and v_Gamma_g01_c01.mkv are two videos of one name")
    (videos / "Gamma" / "v_Gamma_g01_c01.mkv").unlink()
    (videos / "Delta").mkdir()
    fails(videos, output, words="Delta: holds no video|remove the folder")
    assert not (output / "train.txt").exists()


def test_help_has_an_example_and_loads_nothing_heavy() -> None:
    done = stage("scripts.split_folders", "--help")
    assert done.returncode == 0
    for word in ("example:", "UCF101 gives 10656 and 2664", "--as {names,links,move,list}"):
        assert word in done.stdout
