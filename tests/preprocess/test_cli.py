"""The stage as a command: what it says, what it keeps, what it refuses."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Callable, Dict

import numpy as np
import pytest

from clip2om.pipeline.manifest import Manifest, read_manifest
from tests.command import ROOT, refused, stage
from tests.preprocess.conftest import SmallSet


def _done(small: SmallSet, *extra: object) -> Manifest:
    done = stage("preprocess", *small.args(*extra))
    assert done.returncode == 0, done.stderr
    return read_manifest(small.output)


def _reasons(manifest: Manifest) -> dict:
    return {item.id: item.reason for item in manifest.skipped}


def test_plan_is_told_beforehand_and_a_dry_run_writes_nothing(small: SmallSet) -> None:
    done = stage("preprocess", *small.args("--dry-run", "--dtype", "uint8"))
    assert done.returncode == 0
    assert "plan: 4 of 4 videos (validation), 12 clips, 2 files of 10 (8 slots padded), 122.9 kB on disk" in done.stderr
    assert not small.output.exists()


def test_info_lists_videos_in_slot_order(small: SmallSet) -> None:
    _done(small)
    assert (small.output / "hmdb51.info").read_text() == "video_0 3\nvideo_1 3\nvideo_2 3\nvideo_3 3\n"


def test_second_run_touches_nothing(small: SmallSet) -> None:
    _done(small)
    before = {path: path.stat().st_mtime_ns for path in small.output.glob("*.*")}
    done = stage("preprocess", *small.args())
    assert "nothing to make" in done.stdout
    assert "up to date" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in small.output.glob("*.*")} == before


def test_after_touching_one_frame_only_its_file_is_made_again(small: SmallSet) -> None:
    _done(small, "--layout", "per-video")
    kept = (small.output / "video_0.bin").stat().st_mtime_ns
    os.utime(small.frames / "run" / "video_1" / "image_00003.jpg")
    done = stage("preprocess", *small.args("--layout", "per-video"))
    assert "1 files made" in done.stdout
    assert "3 kept" in done.stdout
    assert (small.output / "video_0.bin").stat().st_mtime_ns == kept


def test_files_of_an_earlier_plan_go_and_foreign_files_stay(small: SmallSet) -> None:
    _done(small, "--layout", "per-video")
    (small.output / "notes.bin").write_bytes(b"mine")
    _done(small)
    assert sorted(path.name for path in small.output.glob("*.bin")) == [
        "batch_00000.bin",
        "batch_00001.bin",
        "notes.bin",
    ]


def test_limit_is_balanced_and_always_the_same(small: SmallSet) -> None:
    for number in range(4, 12):
        small.add(f"video_{number}", "walk", number)
    first = _done(small, "--limit", "4")
    assert sorted(video.label or "" for video in first.videos) == ["run", "run", "walk", "walk"]
    small.database = dict(reversed(list(small.database.items())))
    small.annotate()
    again = _done(small, "--limit", "4")
    assert {video.id for video in again.videos} == {video.id for video in first.videos}


def test_odd_ids_get_safe_names_and_stay_in_the_manifest(small: SmallSet) -> None:
    odd = "(odd) [na.me];#1&2!"
    small.add(odd, "walk")
    small.add("VIDEO_0", "walk")
    manifest = _done(small, "--layout", "per-video")
    names = {video.id: manifest.files[video.clips[0][0]].name for video in manifest.videos}
    assert names["video_0"] == "video_0.bin"
    assert names[odd].startswith("v_odd_na_me_1_2_-") or names[odd].startswith("v__odd_na_me_1_2_-")
    assert names["VIDEO_0"].startswith("v_VIDEO_0-")
    assert all(name.count(".") == 1 and not set(name) & set("()[]! #&;+@") for name in names.values())
    assert f"{odd} 3\n" in (small.output / "hmdb51.info").read_text()


def test_file_names_id_keeps_the_recipes_names(small: SmallSet) -> None:
    small.add("(odd)#1", "walk")
    _done(small, "--layout", "per-video", "--file-names", "id")
    assert (small.output / "(odd)#1.bin").is_file()


def test_bad_videos_are_skipped_counted_and_told(small: SmallSet) -> None:
    frames = small.add("cut_off", "walk", 5) / "image_00012.jpg"
    frames.write_bytes(frames.read_bytes()[:300])
    (small.add("gap", "run", 6) / "image_00007.jpg").unlink()
    small.database["too_long"] = {"subset": "validation", "annotations": {"label": "run", "segment": [1, 30]}}
    small.database["absent"] = {"subset": "validation", "annotations": {"label": "run", "segment": [1, 30]}}
    small.add("void", "walk", 7)
    small.database["void"]["annotations"]["segment"] = [4, 4]
    small.annotate()
    (small.frames / "run" / "too_long").symlink_to(small.frames / "run" / "video_1")
    done = stage("preprocess", *small.args())
    assert done.returncode == 0, done.stderr
    reasons = _reasons(read_manifest(small.output))
    assert set(reasons) == {"cut_off", "gap", "too_long", "absent", "void"}
    assert reasons["cut_off"].startswith("frame image_00012.jpg cannot be decoded")
    assert reasons["gap"] == "its segment ends at frame 20, image_00007.jpg is missing"
    assert reasons["too_long"] == "its segment ends at frame 29, image_00021.jpg is missing"
    assert reasons["absent"] == "it is not on disk"
    assert reasons["void"] == "its segment is empty"
    assert "5 videos skipped" in done.stdout
    for name in reasons:
        assert f"skipped {name!r}" in done.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_a_video_found_bad_while_decoding_leaves_no_slot(small: SmallSet, workers: int) -> None:
    path = small.frames / "run" / "video_1" / "image_00018.jpg"
    path.write_bytes(path.read_bytes()[:300])
    manifest = _done(small, "--dtype", "uint8", "--batch", "4", "--workers", workers)
    assert [(video.id, [clip[:2] for clip in video.clips]) for video in manifest.videos] == [
        ("video_0", [(0, 0), (0, 1), (0, 2)]),
        ("video_2", [(0, 3), (1, 0), (1, 1)]),
        ("video_3", [(1, 2), (1, 3), (2, 0)]),
    ]
    assert [file.clips for file in manifest.files] == [4, 4, 1]
    assert set(_reasons(manifest)) == {"video_1"}
    left = _contents(small.output)
    without = [name for name in small.database if name != "video_1"]
    small.database = {name: small.database[name] for name in without}
    small.annotate()
    small.output = small.root / "asked for the others alone"
    _done(small, "--dtype", "uint8", "--batch", "4")
    for name, data in _contents(small.output).items():
        if name.endswith((".bin", ".info")):
            assert left.pop(name) == data
    assert not [name for name in left if name.endswith(".bin")]


@pytest.mark.parametrize("layout", ["packed", "per-video", "per-clip"])
def test_no_file_is_left_of_bad_videos_and_none_is_made_again(small: SmallSet, layout: str) -> None:
    for number in (1, 2):
        path = small.frames / ["walk", "run"][number % 2] / f"video_{number}" / "image_00018.jpg"
        path.write_bytes(path.read_bytes()[:300])
    manifest = _done(small, "--layout", layout, "--batch", "3")
    assert sorted(path.name for path in small.output.glob("*.bin")) == sorted(file.name for file in manifest.files)
    assert all(any((small.output / file.name).read_bytes()) for file in manifest.files)
    assert "nothing to make" in stage("preprocess", *small.args("--layout", layout, "--batch", "3")).stdout
    assert read_manifest(small.output) == manifest


def test_no_batch_is_left_where_every_video_is_bad(small: SmallSet) -> None:
    for number in range(4):
        path = small.frames / ["walk", "run"][number % 2] / f"video_{number}" / "image_00018.jpg"
        path.write_bytes(path.read_bytes()[:300])
    refused(stage("preprocess", *small.args()), "no video can be used", "image_00018.jpg cannot be decoded")
    assert not list(small.output.glob("*.bin"))
    assert not (small.output / "manifest.json").exists()


def test_files_that_are_kept_keep_the_versions_they_were_made_with(small: SmallSet) -> None:
    first = _done(small)
    journal = small.output / ".progress.jsonl"
    journal.write_text(journal.read_text().replace(first.versions["Pillow"], "1.2.3"))
    assert _done(small).versions["Pillow"] == "1.2.3"
    (small.output / "batch_00001.bin").unlink()
    assert _done(small).versions["Pillow"] == ", ".join(sorted(["1.2.3", first.versions["Pillow"]]))


def _contents(folder: Path) -> Dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_strict_makes_a_bad_video_fatal(small: SmallSet) -> None:
    small.database["absent"] = {"subset": "validation", "annotations": {"label": "run", "segment": [1, 30]}}
    small.annotate()
    refused(stage("preprocess", *small.args("--strict")), "absent", "it is not on disk", "--strict")
    assert not list(small.output.glob("*.bin"))


def test_strict_stops_at_a_truncated_frame_and_keeps_finished_files(small: SmallSet) -> None:
    path = small.add("last", "walk", 5) / "image_00018.jpg"
    path.write_bytes(path.read_bytes()[:300])
    args = small.args("--strict", "--layout", "per-video", "--workers", "1")
    refused(stage("preprocess", *args), "image_00018.jpg cannot be decoded", "last")
    assert (small.output / "video_0.bin").is_file()
    assert not (small.output / "last.bin").exists()
    assert not (small.output / "manifest.json").exists()


def test_missing_video_folder(small: SmallSet) -> None:
    args = [*small.args()[:-4], "--annotation-path", small.annotation, "--video-path", "nowhere"]
    refused(stage("preprocess", *args), "nowhere: no such folder", "--video-path")


def test_no_video_on_disk_at_all(small: SmallSet, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(stage("preprocess", *small.args("--video-path", tmp_path / "empty")), "it is not on disk", "--video-path")


def test_every_video_bad(small: SmallSet) -> None:
    for path in small.frames.rglob("image_00001.jpg"):
        path.write_bytes(b"no image")
    refused(stage("preprocess", *small.args()), "no video can be used", "image_00001.jpg")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2]", ("JSON of another shape", "'labels'")),
        ("{not json", ("is not JSON", "line 1")),
        ('{"labels": [], "database": {}}', ("JSON of another shape",)),
        ('{"labels": ["a", "a"], "database": {}}', ("distinct strings",)),
        ('{"labels": ["a"], "database": {}}', ("no video of subset 'validation'",)),
        ('{"labels": ["a"], "database": {"x": {"subset": "training"}}}', ("choose --subset from: training",)),
        ('{"labels": ["a"], "database": {"x": 3}}', ("entry 'x' is of another shape",)),
    ],
)
def test_annotation_of_another_shape(small: SmallSet, text: str, words: tuple) -> None:
    small.annotation.write_text(text)
    refused(stage("preprocess", *small.args()), "annotation.json", *words)


@pytest.mark.parametrize("name", ["../../outside", "a/b", "..", "", "two\nlines"])
def test_ids_stay_in_their_folder_and_on_their_line(small: SmallSet, name: str) -> None:
    small.database[name] = {"subset": "validation", "annotations": {"label": "run", "segment": [1, 3]}}
    small.annotate()
    refused(stage("preprocess", *small.args()), f"video id {name!a} is not a plain name")


def test_labels_and_dataset_names_stay_in_their_folder(small: SmallSet) -> None:
    refused(stage("preprocess", *small.args("--dataset", "../out")), "dataset.name is '../out'", "plain name")
    text = small.annotation.read_text()
    small.annotation.write_text(text.replace('"walk", "run"', '"walk", "run", "../../outside"'))
    refused(stage("preprocess", *small.args()), "label '../../outside' is not a plain name")


@pytest.mark.parametrize("label", ["fly", ["run"], 3])
def test_label_outside_the_list(small: SmallSet, label: object) -> None:
    small.database["x"] = {"subset": "validation", "annotations": {"label": label, "segment": [1, 3]}}
    small.annotate()
    refused(stage("preprocess", *small.args()), f"label {label!r} of video 'x' is not in 'labels'")


def test_dataset_name_of_digits(small: SmallSet) -> None:
    _done(small, "--dataset", "101")
    assert (small.output / "101.info").is_file()


def test_names_in_other_scripts_are_names(small: SmallSet) -> None:
    small.add("走る_é", "walk")
    manifest = _done(small, "--layout", "per-video")
    assert manifest.videos[-1].id == "走る_é"
    assert manifest.files[-1].name.isascii()


def test_frames_are_numbered_by_the_segment_alone(small: SmallSet) -> None:
    folder = small.add("late", "run")
    for number in range(1, 5):
        (folder / f"image_{number:05d}.jpg").unlink()
    small.database["late"]["annotations"]["segment"] = [5, 21]
    small.annotate()
    manifest = _done(small)
    assert [(clip.first, clip.last) for clip in manifest.videos[-1].slots()] == [(5, 12), (13, 20)]


def test_image_that_claims_to_be_huge_and_dangling_link_are_bad_videos(small: SmallSet) -> None:
    bomb = small.frames / "walk" / "video_0" / "image_00001.jpg"
    # PNG header of 60000 x 60000 pixels
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 9) + b"IDAT" + bytes(13))
    link = small.frames / "run" / "video_1" / "image_00002.jpg"
    link.unlink()
    link.symlink_to("nowhere.jpg")
    reasons = _reasons(_done(small))
    assert "exceeds limit" in reasons["video_0"]
    assert reasons["video_1"] == "frame image_00002.jpg is a link that leads nowhere"


@pytest.mark.parametrize("segment", [[0, 5], [1], ["1", "5"], [1.0, 5.0], "all"])
def test_malformed_segment(small: SmallSet, segment: object) -> None:
    small.database["video_1"]["annotations"]["segment"] = segment
    small.annotate()
    refused(stage("preprocess", *small.args()), "segment of 'video_1'")


def test_missing_annotation(small: SmallSet) -> None:
    small.annotation.unlink()
    refused(stage("preprocess", *small.args()), "annotation.json: no such file", "scripts.annotate")


def test_whole_video_without_a_segment(small: SmallSet) -> None:
    del small.database["video_2"]["annotations"]["segment"]
    small.annotate()
    manifest = _done(small)
    assert manifest.videos[2].segment == (1, 21)


def test_video_path_of_the_entry_wins(small: SmallSet) -> None:
    (small.frames / "walk" / "video_0").rename(small.frames / "elsewhere")
    small.database["video_0"]["video_path"] = "elsewhere"
    small.annotate()
    assert not _done(small).skipped


def test_two_runs_cannot_write_the_same_folder(small: SmallSet) -> None:
    small.output.mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(small.output)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    refused(stage("preprocess", *small.args()), "another run is writing here")
    holder.communicate()


_HOLD = """
import sys
from clip2om.pipeline.artifact import folder_lock
with folder_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_underscores_and_recipe_spellings(small: SmallSet) -> None:
    args = ["--video_path", small.frames, "--annotation_path", small.annotation, "--output_path", small.output]
    recipe = ["--inference_subset", "val", "--inference_batch_size", "1", "--dataset", "mine"]
    done = stage("preprocess", "--model", "3d_resnet", *small.card, *args, *recipe)
    assert done.returncode == 0, done.stderr
    assert (small.output / "mine.info").is_file()


def test_unknown_option_and_unknown_card(small: SmallSet) -> None:
    refused(stage("preprocess", *small.args("--btach", "3")), "unrecognized arguments: --btach", "--help")
    refused(stage("preprocess", "--model", "resnet3d"), "no model card called 'resnet3d'", "3d_resnet_demo")


def test_folder_and_times_of_the_inputs_do_not_show_in_the_manifest(small: SmallSet, tmp_path: Path) -> None:
    _done(small)
    before = (small.output / "manifest.json").read_text()
    os.utime(small.frames / "run" / "video_1" / "image_00003.jpg")
    (tmp_path / "moved").mkdir()
    small.annotation = small.annotation.rename(tmp_path / "moved" / "annotation.json")
    done = stage("preprocess", *small.args())
    assert "files made" in done.stdout
    assert (small.output / "manifest.json").read_text() == before


def test_manifest_holds_no_time_and_says_how_tensors_were_made(small: SmallSet) -> None:
    manifest = _done(small)
    text = (small.output / "manifest.json").read_text()
    assert manifest.fingerprint.kernel == "pil-bilinear"
    assert manifest.fingerprint.mean == (0.4345, 0.4051, 0.3775)
    assert json.loads(text)["kind"] == "clip2om.batches"
    stage("preprocess", *small.args("--force"))
    assert (small.output / "manifest.json").read_text() == text


def test_folder_of_another_release_is_made_anew_and_that_is_said(small: SmallSet) -> None:
    _done(small)
    path = small.output / "manifest.json"
    text = path.read_text()
    path.write_text(text.replace('"version": 2', '"version": 1'))
    done = stage("preprocess", *small.args())
    assert "is of another release (format 1, this one writes 2): made anew" in done.stderr
    assert path.read_text() == text


def test_clips_of_one_video_in_one_item(small: SmallSet) -> None:
    item = ["--set", "input.layout=NKCTHW", "--set", "input.shape=[4, 3, 8, 16, 16]"]
    item += ["--set", "clips.sampler=uniform", "--set", "clips.count=4"]
    refused(stage("preprocess", *small.args(*item, "--max-clips", 3)), "takes 4 clips of every video", "--max-clips")
    refused(stage("preprocess", *small.args(*item, "--layout", "per-clip")), "--layout per-clip", "per-video --batch 1")
    done = stage("preprocess", *small.args(*item, "--batch", 3, "--dry-run"))
    assert "16 clips, 2 files of 12 (8 slots padded)" in done.stderr


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: None, ("transform.mean_volume: no such file",)),
        (lambda path: path.write_bytes(b"no array"), ("mean_volume cannot be read",)),
        (lambda path: np.save(path, np.zeros((8, 16, 16, 3))), ("holds float64 (8, 16, 16, 3)", "expected float32")),
        (lambda path: np.save(path, np.zeros((3, 8, 16, 16), np.float32)), ("expected float32 (8, 16, 16, 3)",)),
    ],
)
def test_mean_volume_that_is_none(small: SmallSet, write: Callable[[Path], object], words: tuple) -> None:
    path = small.root / "mean.npy"
    write(path)
    refused(stage("preprocess", *small.args("--set", f'transform.mean_volume="{path}"')), "mean.npy", *words)
    assert not list(small.root.glob("out/*.bin"))
