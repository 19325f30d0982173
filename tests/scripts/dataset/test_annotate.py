"""Annotation files against those of the original generators (tests/data/prep_annotations.json) and against flaws."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clip2om.pipeline.naming import full_subset
from clip2om.preprocess.activitynet import read as read_annotation
from tests.command import refused, stage
from tests.formula import DATA
from tests.scripts.conftest import MakeVideo

GOLDEN = json.loads((DATA / "prep_annotations.json").read_text())
NAMES = {"hmdb51": "hmdb51_{}.json", "ucf101": "ucf101_{:02d}.json"}
KINETICS = GOLDEN["expected"]["hara/kinetics.json"]


CSV = "label,youtube_id,time_start,time_end\n"


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


@pytest.mark.parametrize(("recipe", "family"), [("3d_resnet", "hara"), ("resnet3d_mindspore", "ms")])
def test_compat_equals_the_original_generators(dataset: str, tmp_path: Path, recipe: str, family: str) -> None:
    splits, frames = prepare(tmp_path, dataset)
    annotate(dataset, splits, frames, tmp_path / "out", "--compat", "--recipe", recipe)
    for number in (1, 2, 3):
        name = NAMES[dataset].format(number)
        assert load(tmp_path / "out", dataset, number) == GOLDEN["expected"][f"{family}/{name}"]
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


def test_kinetics_equals_the_original_generator(tmp_path: Path) -> None:
    splits, frames = prepare(tmp_path, "kinetics")
    for flags in ([], ["--compat"]):
        said = annotate("kinetics", splits, frames, tmp_path / "out", *flags)
        assert json.loads((tmp_path / "out" / "kinetics_400.json").read_text()) == KINETICS
        assert "2 classes, 3 training, 1 validation, 1 testing" in said
        assert "1 of 5 videos cannot be counted and stay in without a segment" in said
    annotate("kinetics", splits, frames, tmp_path / "out", "--leave-out")
    database = json.loads((tmp_path / "out" / "kinetics_400.json").read_text())["database"]
    assert set(KINETICS["database"]) - set(database) == {"Missing1234_000000_000010"}
    entries = read_annotation(str(tmp_path / "out" / "kinetics_400.json"), "testing").entries
    assert [(entry.id, entry.label, entry.segment) for entry in entries] == [("tst1_000001_000011", None, (1, 6))]


def test_kinetics_of_several_sizes(tmp_path: Path) -> None:
    splits, frames = prepare(tmp_path, "kinetics")
    for name in ("train", "val"):
        text = (splits / f"kinetics-400_{name}.csv").read_text()
        # Other columns in another order, and a mark of the byte order, as spreadsheets write them.
        rows = [line.split(",") for line in text.splitlines()]
        moved = "\n".join(",".join([row[1], "x", row[2], row[3], row[0]]) for row in rows)
        (splits / f"kinetics-600_{name}.csv").write_text("\ufeff" + moved + "\n", encoding="utf-8")
    annotate("kinetics", splits, frames, tmp_path / "out")
    written = {path.name: json.loads(path.read_text()) for path in (tmp_path / "out").iterdir()}
    assert set(written) == {"kinetics_400.json", "kinetics_600.json"}
    smaller = {name: entry for name, entry in KINETICS["database"].items() if entry["subset"] != "testing"}
    assert written["kinetics_600.json"]["database"] == smaller
    annotate("kinetics", splits, frames, tmp_path / "one", "--split", 600)
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["kinetics_600.json"]


def rename(frames: Path, pattern: str) -> None:
    for path in list(frames.rglob("image_*.jpg")):
        path.rename(path.with_name(pattern.format(int(path.stem[6:]))))


def test_rawframe_lists(tmp_path: Path) -> None:
    splits, frames = prepare(tmp_path, "ucf101")
    rename(frames, "img_{:05d}.jpg")
    said = annotate("ucf101", splits, frames, tmp_path / "out", "--format", "rawframes", "--split", "1,3")
    names = [f"ucf101_{subset}_split_{number}_rawframes.txt" for subset in ("train", "val") for number in (1, 3)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
    text = (tmp_path / "out" / "ucf101_val_split_1_rawframes.txt").read_text()
    assert text == ("ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01 16 0\nHandstandPushups/v_HandStandPushups_g01_c01 33 2\n")
    assert "ucf101_val_split_1_rawframes.txt: 3 classes, 2 videos" in said
    # The default names of the frames are the format's: with others there is nothing to count.
    line = refused(stage("scripts.annotate", "ucf101", splits, frames, tmp_path / "no"), "videos cannot be counted")
    assert "holds no frame image_00001.jpg" in line


def test_frame_folder_lists(tmp_path: Path) -> None:
    splits, frames = prepare(tmp_path, "ucf101")
    rename(frames, "{:05d}.jpg")
    (frames / "HandstandPushups" / "v_HandStandPushups_g01_c01" / "00007.jpg").unlink()
    said = annotate("ucf101", splits, f"{frames}/", tmp_path / "out", "--format", "list", "--split", 1)
    text = (tmp_path / "out" / "ucf101_val_split_1.list").read_text()
    assert text == f"{frames}/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01 0\n"
    assert "00007.jpg is missing in" in said and "1 of 4 videos cannot be counted and are left out" in said


def test_lists_of_kinetics_leave_out_what_has_no_class(tmp_path: Path) -> None:
    splits, frames = prepare(tmp_path, "kinetics")
    args = ["--format", "rawframes", "--frame-name", "image_{:05d}.jpg"]
    said = annotate("kinetics", splits, frames, tmp_path / "out", *args)
    texts = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert texts == {
        "kinetics_train_split_400_rawframes.txt": (
            "abseiling/-abc_DEF123_000005_000015 4 0\nair drumming/0Zz9_000123_000133 2 1\n"
        ),
        "kinetics_val_split_400_rawframes.txt": "air drumming/vid2_000007_000017 3 1\n",
    }
    assert "2 names hold blanks: this project reads such lists" in said


def test_a_shuffled_list_has_the_same_lines(tmp_path: Path) -> None:
    splits, frames = tmp_path, tmp_path / "frames"
    (tmp_path / "classInd.txt").write_text("1 A\n")
    for name in ("trainlist01", "testlist01"):
        (tmp_path / f"{name}.txt").write_text("".join(f"A/{name}_{number}.avi\n" for number in range(20)))
        for number in range(20):
            (frames / "A" / f"{name}_{number}").mkdir(parents=True)
            (frames / "A" / f"{name}_{number}" / "img_00001.jpg").touch()
    texts = []
    for number, flags in enumerate([[], ["--shuffle", 1], ["--shuffle", 1], ["--shuffle", 2]]):
        args = ["--format", "rawframes", "--split", 1, *flags]
        annotate("ucf101", splits, frames, tmp_path / str(number), *args)
        texts.append((tmp_path / str(number) / "ucf101_train_split_1_rawframes.txt").read_text())
    assert texts[1] == texts[2] and len(set(texts)) == 3
    assert len({tuple(sorted(text.splitlines())) for text in texts}) == 1
    assert texts[0].splitlines() == sorted(texts[0].splitlines())


def test_frames_counted_from_0_are_refused(tmp_path: Path) -> None:
    from clip2om.scripts.dataset.frame_counts import Question, count_frames

    (tmp_path / "image_00000.jpg").touch()
    (tmp_path / "image_00001.jpg").touch()
    answer = count_frames(Question(str(tmp_path), "", "folder", compat=""))
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
        assert "bad.avi: cannot be opened" in said
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
    run("hmdb51", splits, frames, tmp_path, "--shuffle", 4, words="--shuffle: goes with --format rawframes or list")
    run("kinetics", splits, frames, tmp_path, words="holds no kinetics-<N>_train.csv|kinetics-<N>_val.csv")
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
        ("trainlist01.txt", b"\xff\xfea", "is no text in UTF-8 or UTF-16"),
        ("kinetics-400_train.csv", "label,id\nA,x\n", "has no column 'youtube_id': its first line is 'label,id'"),
        ("kinetics-400_train.csv", "", "has no column 'label': its first line is 'nothing'"),
        ("kinetics-400_val.csv", f"{CSV}B,b,0,10\n", "line 2: label 'B' is not among those of training"),
        ("kinetics-400_val.csv", f"{CSV}A,b,0,ten\n", "line 2: time_end is 'ten', expected whole seconds"),
        ("kinetics-400_val.csv", f"{CSV}A,../b,0,10\n", "line 2: '../b' is not a plain file name"),
        ("kinetics-400_val.csv", f"{CSV}A,b,0\n", "line 2 has no time_end"),
        ("kinetics-400_val.csv", f"{CSV}A,a,0,10\n", "two videos have the id 'a_000000_000010'"),
    ],
)
def test_malformed_split_files(
    tmp_path: Path, capsys: pytest.CaptureFixture, file: str, text: object, words: str
) -> None:
    from clip2om.scripts.dataset.annotate import main

    files = {"classInd.txt": "1 A\n", "trainlist01.txt": "A/a.avi 1\n", "testlist01.txt": "A/b.avi\n"}
    files.update({f"kinetics-400_{name}.csv": f"{CSV}A,a,0,10\n" for name in ("train", "val")})
    files[file] = text  # type: ignore[assignment]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else str(content).encode())
    for label in "xA":
        (tmp_path / label / "a").mkdir(parents=True)
        (tmp_path / label / "a" / "image_00001.jpg").touch()
    (tmp_path / "A" / "a_000000_000010").mkdir()
    (tmp_path / "A" / "a_000000_000010" / "image_00001.jpg").touch()
    dataset, split = ("hmdb51", "1") if file.startswith("x") else ("ucf101", "1")
    dataset, split = ("kinetics", "400") if file.startswith("k") else (dataset, split)
    args = [dataset, str(tmp_path), str(tmp_path), str(tmp_path / "out"), "--split", split, "--quiet"]
    assert main(args) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_datasets_as_they_are_handed_on(tmp_path: Path) -> None:
    splits, videos = tmp_path / "splits", tmp_path / "videos"
    splits.mkdir()
    (splits / "train.csv").write_text(f"{CSV}petting cat (indoors),a,1,11\n")
    (splits / "validate.csv").write_bytes(f"{CSV}petting cat (indoors),b,2,12\n".encode("utf-16"))
    for inside in ("train/petting_cat_-indoors-/a_000001_000011", "val/petting cat (indoors)/b"):
        (videos / inside).mkdir(parents=True)
        for number in range(1, 4):
            (videos / inside / f"frame{number:06d}.PNG").touch()
    annotate("kinetics", splits, videos, tmp_path / "out", "--frame-name", "frame{:06d}.PNG")
    path = tmp_path / "out" / "kinetics_1.json"
    for subset, inside in (
        ("training", "train/petting_cat_-indoors-/a_000001_000011"),
        ("val", "val/petting cat (indoors)/b"),
    ):
        (entry,) = read_annotation(str(path), full_subset(subset)).entries
        assert (entry.segment, entry.video_path) == ((1, 4), inside)


def test_ucf101_in_another_container(make_video: MakeVideo, tmp_path: Path) -> None:
    splits = tmp_path / "splits"
    splits.mkdir()
    (splits / "classInd.txt").write_text("1 A\n")
    (splits / "trainlist01.txt").write_text("A/one.avi 1\n")
    (splits / "testlist01.txt").write_text("A/two.avi\n")
    for name in ("one.MP4", "two.webm"):
        make_video(tmp_path / "videos" / "A" / "x.mkv", frames=5).rename(tmp_path / "videos" / "A" / name)
    annotate("ucf101", splits, tmp_path / "videos", tmp_path / "out", "--split", 1)
    database = json.loads((tmp_path / "out" / "ucf101_01.json").read_text())["database"]
    assert [entry["annotations"]["segment"] for entry in database.values()] == [[1, 6], [1, 6]]
    assert all("video_path" not in entry for entry in database.values())
