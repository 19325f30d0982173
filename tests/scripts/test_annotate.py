"""Annotation files against those of the original generators (tests/data/prep_annotations.json) and against flaws."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from preprocess.annotations import read_annotation
from tests.command import refused, stage
from tests.formula import DATA
from tests.scripts.conftest import MakeVideo

GOLDEN = json.loads((DATA / "prep_annotations.json").read_text())
NAMES = {"hmdb51": "hmdb51_{}.json", "ucf101": "ucf101_{:02d}.json"}


@pytest.fixture(params=sorted(NAMES))
def dataset(request: pytest.FixtureRequest) -> str:
    return request.param


def prepare(folder: Path, dataset: str) -> tuple:
    """Write the golden split files and frame folders (empty files: only their names count)."""
    splits, frames = folder / "splits", folder / "frames"
    splits.mkdir()
    for name, text in GOLDEN["input"][dataset].items():
        (splits / name).write_text(text)
        if dataset == "ucf101" and "list01" in name:
            # As in the golden run: splits 2 and 3 use the lists of split 1.
            for number in (2, 3):
                (splits / name.replace("01", f"{number:02d}")).write_text(text)
    for name, about in GOLDEN["frames"][dataset].items():
        (frames / name).mkdir(parents=True)
        files = [f"image_{number:05d}.jpg" for number in range(1, about["n_frames"] + 1)]
        for file in [*files, *about["extra_files"]]:
            (frames / name / file).touch()
    return splits, frames


def annotate(*args: object) -> str:
    done = stage("scripts.annotate", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def load(folder: Path, dataset: str, number: int) -> dict:
    return json.loads((folder / NAMES[dataset].format(number)).read_text())


def test_compat_equals_the_original_generators(dataset: str, tmp_path: Path) -> None:
    splits, frames = prepare(tmp_path, dataset)
    annotate(dataset, splits, frames, tmp_path / "out", "--compat")
    for number in (1, 2, 3):
        assert load(tmp_path / "out", dataset, number) == GOLDEN["expected"]["hara/" + NAMES[dataset].format(number)]
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_hmdb51_without_the_recipes_flaws(tmp_path: Path) -> None:
    splits, frames = prepare(tmp_path, "hmdb51")
    (frames / "sword_exercise" / "mr").rename(frames / "sword_exercise" / "mr.dot_sword_exercise_f_0")
    said = annotate("hmdb51", splits, frames, tmp_path, "--split", 1)
    data = load(tmp_path, "hmdb51", 1)
    assert data["labels"] == ["brush_hair", "sword_exercise"]

    def entry(subset: str, label: str, end: int = 0) -> dict:
        return {"subset": subset, "annotations": {"label": label, **({"segment": [1, end]} if end else {})}}

    assert list(data["database"].items()) == [
        ("(x)[y]&z;+@#!_brush_hair_f_0", entry("training", "brush_hair")),
        ("April_09_brush_hair_u_nm_np1_ba_goo_0", entry("training", "brush_hair", 4)),
        ("mr.dot_sword_exercise_f_0", entry("training", "sword_exercise", 3)),
        ("brushing_hair_2_brush_hair_h_nm_np1_ba_med_2", entry("validation", "brush_hair", 6)),
        ("blade_sword_exercise_f_cm_np1_ri_bad_1", entry("validation", "sword_exercise", 18)),
    ]
    assert "holds no frame" in said
    assert "1 of 5 videos cannot be counted and stay in without a segment" in said
    assert not (tmp_path / "hmdb51_2.json").exists()


def test_ucf101_without_flaws_is_the_same(tmp_path: Path) -> None:
    splits, frames = prepare(tmp_path, "ucf101")
    annotate("ucf101", splits, frames, tmp_path)
    for number in (1, 2, 3):
        assert load(tmp_path, "ucf101", number) == GOLDEN["expected"][f"hara/ucf101_{number:02d}.json"]


def test_uncountable_videos_can_be_left_out_or_refused(tmp_path: Path) -> None:
    splits, frames = prepare(tmp_path, "hmdb51")
    (frames / "sword_exercise" / "blade_sword_exercise_f_cm_np1_ri_bad_1" / "image_00005.jpg").unlink()
    refused(
        stage("scripts.annotate", "hmdb51", splits, frames, tmp_path, "--strict"), "3 of 6 videos cannot be counted"
    )
    assert not list(tmp_path.glob("*.json"))
    said = annotate("hmdb51", splits, frames, tmp_path, "--leave-out")
    assert "image_00005.jpg is missing in" in said
    assert "no such folder: " in said and "mr.dot_sword_exercise_f_0" in said
    assert "3 of 6 videos cannot be counted and are left out" in said
    assert sorted(load(tmp_path, "hmdb51", 1)["database"]) == [
        "April_09_brush_hair_u_nm_np1_ba_goo_0",
        "brushing_hair_2_brush_hair_h_nm_np1_ba_med_2",
    ]


def test_frames_counted_from_0_are_refused(tmp_path: Path) -> None:
    from scripts.frame_counts import Question, count_frames

    (tmp_path / "image_00000.jpg").touch()
    (tmp_path / "image_00001.jpg").touch()
    answer = count_frames(Question(str(tmp_path), "", "folder", compat=False))
    assert "counts from 0, expected from 1" in answer.problem


def test_videos_are_counted_where_there_are_no_frames(make_video: MakeVideo, tmp_path: Path) -> None:
    splits, videos = tmp_path / "splits", tmp_path / "videos"
    splits.mkdir()
    (splits / "classInd.txt").write_text("2 B\n1 A\n")
    (splits / "trainlist01.txt").write_text("A/one.avi 1\nB/two.x.avi 2\n")
    (splits / "testlist01.txt").write_text("B/three.avi\nB/bad.avi\nA/none.avi\nA/frames.avi\n")
    make_video(videos / "A" / "one.avi", frames=4)
    make_video(videos / "B" / "two.x.avi", frames=7)
    make_video(videos / "B" / "three.avi", frames=2)
    make_video(videos / "A" / "frames.avi", frames=2)
    (videos / "B" / "bad.avi").write_text("no video")
    (videos / "A" / "frames").mkdir()
    for number in range(1, 6):
        (videos / "A" / "frames" / f"image_{number:05d}.jpg").touch()

    def ends(counter: str) -> dict:
        said = annotate("ucf101", splits, videos, tmp_path, "--split", 1, "--frame-counter", counter, "--leave-out")
        assert "bad.avi cannot be decoded" in said
        database = load(tmp_path, "ucf101", 1)["database"]
        return {name: entry["annotations"]["segment"][1] for name, entry in database.items()}

    counted = {"one": 5, "two.x": 8, "three": 3}
    assert ends("auto") == {**counted, "frames": 6}
    assert ends("decode") == ends("packets") == {**counted, "frames": 3}
    # What was written is what the preprocess stage reads.
    entries = read_annotation(str(tmp_path / "ucf101_01.json"), "training").entries
    assert [(entry.id, entry.label, entry.segment) for entry in entries] == [
        ("one", "A", (1, 5)),
        ("two.x", "B", (1, 8)),
    ]


def test_refusals(tmp_path: Path) -> None:
    def run(*args: object, words: str) -> None:
        refused(stage("scripts.annotate", *args), *words.split("|"))

    splits, frames = prepare(tmp_path, "hmdb51")
    run("hmdb51", tmp_path / "none", frames, tmp_path, words="no such folder|_test_split<k>.txt")
    run("hmdb51", splits, tmp_path / "none", tmp_path, words="no such folder|check FRAMES_OR_VIDEOS")
    run("hmdb51", frames, frames, tmp_path, words="holds no *_test_split1.txt")
    run("ucf101", splits, frames, tmp_path, words="classInd.txt: no such file|trainlist0k.txt")
    run("hmdb51", splits, frames, tmp_path, "--split", 4, words="--split is '4'|choose from 1, 2, 3")
    run("hmdb51", splits, frames, tmp_path, "--compat", "--frame-counter", "decode", words="cannot be counted|first: ")
    run("hmdb51", splits, splits, tmp_path, words="6 of 6 videos cannot be counted|no such folder")
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("x_test_split1.txt", "a.avi\n", "line 1 is 'a.avi', expected '<file> <0, 1 or 2>'"),
        ("x_test_split1.txt", "a.avi 1\nb.avi 3\n", "line 2 is 'b.avi 3'"),
        ("x_test_split1.txt", "../a.avi 1\n", "line 1: '../a.avi' is not a plain file name"),
        ("x_test_split1.txt", "a.avi 1\na.mp4 2\n", "two videos have the id 'a'"),
        ("x_test_split1.txt", "a.avi 0\n", "lists no video"),
        ("classInd.txt", "1 A\n3 B\n", "numbers 2 classes otherwise than 1 to 2"),
        ("classInd.txt", "A\n", "line 1 is 'A', expected '<number> <class>'"),
        ("trainlist01.txt", "a.avi 1\n", "line 1 is 'a.avi 1', expected '<class>/<file> [number]'"),
        ("trainlist01.txt", "C/a.avi 1\n", "line 1: class 'C' is not in classInd.txt"),
        ("trainlist01.txt", b"\xff\xfe", "is not a text file in UTF-8"),
    ],
)
def test_malformed_split_files(
    tmp_path: Path, capsys: pytest.CaptureFixture, file: str, text: object, words: str
) -> None:
    from scripts.annotate import main

    files = {"classInd.txt": "1 A\n", "trainlist01.txt": "A/a.avi 1\n", "testlist01.txt": "A/b.avi\n", file: text}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else str(content).encode())
    for label in "xA":
        (tmp_path / label / "a").mkdir(parents=True)
        (tmp_path / label / "a" / "image_00001.jpg").touch()
    dataset = "hmdb51" if file.startswith("x") else "ucf101"
    args = [dataset, str(tmp_path), str(tmp_path), str(tmp_path / "out"), "--split", "1", "--quiet"]
    assert main(args) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
