"""List files and class folders as annotations: what is read, and what is refused in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from clip2om.pipeline.manifest import Manifest, read_manifest
from tests.command import refused, stage
from tests.preprocess.conftest import SmallSet, write_frames
from tests.preprocess.test_sources import write_video

_SIZE = (24, 32)


class ListSet:
    """Three videos of 20 frames in class folders of UCF101, and a list of them."""

    def __init__(self, root: Path, form: str) -> None:
        self.root = root
        self.videos = root / "videos"
        self.list = root / "list.txt"
        self.output = root / "out"
        self.form = form
        for number, name in enumerate(("Archery/v_1", "Biking/v_2", "Biking/v_3")):
            write_frames(self.videos / name, number, 20, _SIZE)
        frames = " 20" if form == "rawframes" else ""
        self.write(f"Archery/v_1{frames} 2", f"Biking/v_2{frames} 10", f"Biking/v_3{frames} 10")

    def write(self, *lines: str) -> None:
        self.list.write_text("".join(f"{line}\n" for line in lines))

    def args(self, *extra: object) -> list:
        paths = ["--video-path", self.videos, "--output", self.output]
        paths += ["--annotation-path", self.list] if self.form != "folders" else []
        labels = "ucf101_sorted" if self.form == "folders" else "ucf101"
        sets = [
            "--set",
            f"dataset.format={self.form}",
            "--set",
            f"dataset.labels={labels}",
            "--set",
            "model.classes=101",
        ]
        return ["--model", "3d_resnet", *SmallSet.card, *sets, *paths, *extra]

    def made(self, *extra: object) -> Manifest:
        done = stage("preprocess", *self.args(*extra))
        assert done.returncode == 0, done.stderr
        return read_manifest(self.output)

    def refused(self, *words: str, extra: tuple = ()) -> None:
        refused(stage("preprocess", *self.args(*extra)), *words)


@pytest.fixture(params=["list", "rawframes", "folders"])
def every(request: pytest.FixtureRequest, tmp_path: Path) -> ListSet:
    return ListSet(tmp_path, request.param)


@pytest.fixture
def plain(tmp_path: Path) -> ListSet:
    return ListSet(tmp_path, "list")


@pytest.fixture
def raw(tmp_path: Path) -> ListSet:
    return ListSet(tmp_path, "rawframes")


@pytest.fixture
def folders(tmp_path: Path) -> ListSet:
    return ListSet(tmp_path, "folders")


def test_every_format_gives_the_same_batches(every: ListSet, tmp_path: Path) -> None:
    manifest = every.made("--dataset", "mine")
    assert [(video.id, video.label, video.segment) for video in manifest.videos] == [
        ("v_1", "Archery", (1, 21)), ("v_2", "Biking", (1, 21)), ("v_3", "Biking", (1, 21)),
    ]  # fmt: skip
    assert (every.output / "mine.info").read_text() == "v_1 3\nv_2 3\nv_3 3\n"
    assert manifest.labels[34] == ("HammerThrow" if every.form == "folders" else "Hammering")
    assert manifest.subset == "validation"
    limited = every.made("--limit", "2", "--output", every.output)
    assert [video.label for video in limited.videos] == ["Archery", "Biking"]
    done = stage("preprocess", *every.args("--limit", "2"))
    assert "nothing to make" in done.stdout


def test_every_format_takes_video_files(every: ListSet) -> None:
    expected = [file.sha256 for file in every.made().files]
    for number, name in enumerate(("Archery/v_1", "Biking/v_2", "Biking/v_3")):
        shutil.rmtree(every.videos / name)
        write_video(every.videos / f"{name}.avi", number, 20, _SIZE)
    manifest = every.made()
    assert [file.sha256 for file in manifest.files] == expected
    assert [video.id for video in manifest.videos] == ["v_1", "v_2", "v_3"]
    if every.form == "list":
        every.write("Archery/v_1.avi 2", "Biking/v_2.avi 10", "Biking/v_3.avi 10")
        assert every.made().videos == manifest.videos


def test_paths_may_be_absolute_hold_blanks_and_end_in_a_slash(plain: ListSet) -> None:
    write_frames(plain.root / "else where" / "v four", 4, 20, _SIZE)
    plain.write(f"{plain.root}/else where/v four 3", "", "Archery/v_1/ 2")
    assert [video.id for video in plain.made().videos] == ["v four", "v_1"]


def test_a_list_of_windows_and_folders_that_are_called_by_numbers(plain: ListSet) -> None:
    (plain.videos / "Biking/v_3").rename(plain.videos / "0007")
    plain.list.write_bytes("\ufeffArchery/v_1 2\r\nBiking/v_2 10\r\n0007 10\r\n".encode())
    assert [video.id for video in plain.made().videos] == ["v_1", "v_2", "0007"]


def test_frames_of_whole_videos_that_are_not_all_there_are_told(plain: ListSet) -> None:
    """A gap must not make a shorter video of a long one, nor a first frame of another number shift all."""
    (plain.videos / "Archery/v_1/image_00007.jpg").unlink()
    first = plain.videos / "Biking/v_2/image_00001.jpg"
    first.with_name("image_00000.jpg").write_bytes(first.read_bytes())
    for name in (plain.videos / "Biking/v_3").iterdir():
        name.rename(name.with_name(name.name.replace("image", "img")))
    write_frames(plain.videos / "Biking/v_4", 4, 20, _SIZE)
    (plain.videos / "Biking/v_4/notes.jpg").write_bytes(b"")
    plain.write("Archery/v_1 2", "Biking/v_2 10", "Biking/v_3 10", "Biking/v_4 10")
    manifest = plain.made()
    assert [video.id for video in manifest.videos] == ["v_4"]
    assert {item.id: item.reason for item in manifest.skipped} == {
        "v_1": "frame image_00007.jpg is missing, though image_00008.jpg is there",
        "v_2": "frame image_00000.jpg comes before image_00001.jpg; --set dataset.first_frame=0",
        "v_3": "folder holds no image_00001.jpg, but img_00001.jpg",
    }


def test_ids_take_the_label_where_the_names_are_not_enough(plain: ListSet) -> None:
    (plain.videos / "Biking/v_2").rename(plain.videos / "Biking/v_1")
    plain.write("Archery/v_1 2", "Biking/v_1 10")
    assert [video.id for video in plain.made().videos] == ["Archery-v_1", "Biking-v_1"]


def test_frames_beyond_the_listed_number_are_left_out_and_missing_ones_told(raw: ListSet) -> None:
    raw.write("Archery/v_1 9 2", "Biking/v_2 21 10", "Biking/v_3 0 10")
    manifest = raw.made()
    assert [(video.id, video.segment) for video in manifest.videos] == [("v_1", (1, 10))]
    assert {item.id: item.reason for item in manifest.skipped} == {
        "v_2": "its segment ends at frame 21, image_00021.jpg is missing",
        "v_3": "its segment is empty",
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Biking/v_2", ("line 2 is 'Biking/v_2', expected <frame folder> <label>",)),
        ("Biking/v_2 20 10", ("line 2", "expected <frame folder> <label>", "dataset.format=rawframes")),
        ("Biking/v_2 ten", ("line 2: <label> is 'ten', expected a whole number",)),
        ("Biking/v_2 -1", ("line 2: <label> is '-1'",)),
        ("Biking/v_2 101", ("line 2: label 101 of 'v_2' is outside the card's 0..100", "labels count from 0")),
        (
            "Biking/v_2 11",
            ("line 2: label 11 is 'Billiards' by the card's labels, but 'Biking' here", "dataset.labels="),
        ),
        ("Archery/v_1 2", ("'Archery-v_1' occurs twice ('Archery/v_1' and 'Archery/v_1')",)),
        (".. 2", ("video '..' has no plain name",)),
    ],
)
def test_lines_of_a_plain_list_that_are_refused(plain: ListSet, line: str, words: tuple) -> None:
    plain.write("Archery/v_1 2", line)
    plain.refused("list.txt", *words)
    assert not plain.output.exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Biking/v_2 10", ("line 2", "expected <class>/<video> <frames> <label>", "dataset.format=list")),
        ("Biking/v_2 0 20 10", ("line 2", "expected <class>/<video> <frames> <label>", "offsets and several labels")),
        ("Biking/v_2 many 10", ("line 2: <frames> is 'many'",)),
        ("Biking/v_2 20 101", ("label 101 of 'v_2' is outside",)),
    ],
)
def test_lines_of_a_frame_list_that_are_refused(raw: ListSet, line: str, words: tuple) -> None:
    raw.write("Archery/v_1 20 2", line)
    raw.refused("list.txt", *words)


def test_lists_that_are_none(plain: ListSet) -> None:
    plain.write("", " ")
    plain.refused("list.txt: has no video", "<frame folder> <label>")
    plain.list.write_bytes(b"\xff\xfe\x00")
    plain.refused("list.txt: is no text in UTF-8 or UTF-16")
    plain.list.unlink()
    plain.refused("list.txt: no such file", "--annotation-path")


def test_list_without_class_names(plain: ListSet) -> None:
    plain.refused("dataset.labels is empty", extra=("--set", "dataset.labels="))


def test_list_of_another_subset_has_to_be_named(plain: ListSet) -> None:
    assert plain.made("--subset", "train").subset == "training"
    words = [word for word in plain.args("--subset", "train") if word not in ("--annotation-path", plain.list)]
    refused(stage("preprocess", *words), "'training' is asked for", "of 'validation'", "--annotation-path")
    plain.list.rename(plain.root / "train_list.txt")
    pattern = ["--set", f'dataset.annotation="{plain.root}/{{subset}}_list.txt"']
    done = stage("preprocess", *words, *pattern)
    assert done.returncode == 0, done.stderr
    refused(stage("preprocess", *words, *pattern, "--subset", "val"), "val_list.txt: no such file")


def test_folders_of_subsets(folders: ListSet) -> None:
    for short, number in (("train", 1), ("val", 3)):
        source = folders.videos / ("Archery" if number == 1 else "Biking")
        (folders.root / "split" / short).mkdir(parents=True)
        source.rename(folders.root / "split" / short / source.name)
    split = ("--video-path", folders.root / "split")
    assert [video.id for video in folders.made(*split).videos] == ["v_2", "v_3"]
    assert [video.id for video in folders.made(*split, "--subset", "training").videos] == ["v_1"]
    folders.refused("has no folder of subset 'testing'", "train, val", extra=(*split, "--subset", "test"))


def test_folder_that_is_no_class_and_folder_without_videos(folders: ListSet) -> None:
    (folders.videos / "notes.txt").write_text("ignored")
    (folders.videos / ".cache").mkdir()
    (folders.videos / "Biking" / "list.txt").write_text("ignored")
    assert len(folders.made().videos) == 3
    (folders.videos / "biking").mkdir()
    folders.refused("folder 'biking' is no class of the card")
    (folders.root / "empty").mkdir()
    folders.refused("holds no video", "<class>", extra=("--video-path", folders.root / "empty"))
    folders.refused("no such folder", extra=("--video-path", folders.root / "nowhere"))


def test_same_video_twice_in_a_class_folder(folders: ListSet) -> None:
    write_video(folders.videos / "Biking" / "v_2.avi", 1, 20, _SIZE)
    folders.refused("'Biking-v_2' occurs twice")


def test_classes_are_the_folders_where_the_card_names_none(folders: ListSet) -> None:
    assert folders.made("--set", "dataset.labels=").labels == ["Archery", "Biking"]


def test_signatures_of_every_format(every: ListSet) -> None:
    every.made("--layout", "per-video")
    (every.videos / "Biking/v_2/image_00003.jpg").touch()
    done = stage("preprocess", *every.args("--layout", "per-video"))
    assert "1 files made" in done.stdout
    assert "2 kept" in done.stdout
