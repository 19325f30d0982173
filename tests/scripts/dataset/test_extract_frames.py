"""Frame extraction against the golden video (tests/data/video, made by the original extractors) and against damage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.command import refused, stage
from tests.formula import DATA, frame
from tests.scripts.conftest import GOLDEN_VIDEO, MakeVideo

EXPECTED = json.loads((DATA / "video" / "expected.json").read_text())


def extract(*args: object) -> str:
    done = stage("scripts.extract_frames", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1] + "\n" + done.stderr


def frames_in(folder: Path) -> list:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def tree(folder: Path) -> dict:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    (tmp_path / "videos" / "Archery").mkdir(parents=True)
    shutil.copy(GOLDEN_VIDEO, tmp_path / "videos" / "Archery")
    return tmp_path / "videos"


def test_default_equals_the_recipes_ffmpeg_call(videos: Path, tmp_path: Path) -> None:
    extract(videos, tmp_path / "jpg")
    folder = tmp_path / "jpg" / "Archery" / "v_Archery_g01_c01"
    expected = EXPECTED["3d_resnet"]
    assert frames_in(folder) == expected["files"]
    with Image.open(folder / "image_00001.jpg") as image:
        assert list(image.size) == expected["size"]
        assert list(image.quantization[0][:8]) == expected["luma_quant_first8"]
        # The video is RGB: MJPEG keeps its chroma at full resolution.
        assert len({layer[1:3] for layer in image.layer}) == 1
        pixels = np.asarray(image, int)
    truth = Image.fromarray(frame(EXPECTED["seed"], 0, 90, 100)).resize((267, 240), Image.Resampling.BICUBIC)
    assert np.abs(pixels - np.asarray(truth, int)).mean() < 6


def test_pillow_quality_75_equals_the_other_recipes_frames(videos: Path, tmp_path: Path) -> None:
    extract(videos, tmp_path / "jpg", "--quality", 75, "--size", "original")
    folder = tmp_path / "jpg" / "Archery" / "v_Archery_g01_c01"
    expected = EXPECTED["resnet3d_mindspore"]
    assert frames_in(folder) == expected["files"]
    frames = np.load(DATA / "video" / "expected_frames.npz")
    for name, key in (("image_00001.jpg", "frame0"), ("image_00013.jpg", "last")):
        with Image.open(folder / name) as image:
            assert list(image.size) == expected["size"]
            assert list(image.quantization[0][:8]) == expected["luma_quant_first8"]
            difference = np.asarray(image, int) - frames[f"resnet3d_mindspore_rgb_{key}"].astype(int)
        assert np.abs(difference).mean() < 2


@pytest.mark.parametrize("profile", ["3d_resnet", "resnet3d_mindspore", "c3d_mmaction", "r2plus1d_mindspore"])
def test_profiles_equal_the_recipes_extractors(videos: Path, tmp_path: Path, profile: str) -> None:
    extract(videos, tmp_path / "jpg", "--profile", profile)
    folder = tmp_path / "jpg" / "Archery" / "v_Archery_g01_c01"
    expected = EXPECTED.get(profile) or EXPECTED[f"{profile}_expected"]
    assert frames_in(folder) == (expected.get("files") or expected["files_sorted"])
    with Image.open(folder / frames_in(folder)[0]) as image:
        assert list(image.size) == expected["size"]
        if profile != "c3d_mmaction":
            assert list(image.quantization[0][:8]) == expected["luma_quant_first8"]
        else:
            assert list(image.quantization[0][:8]) == EXPECTED["r2plus1d_mindspore"]["luma_quant_first8"]


def test_swapped_red_and_blue_are_the_bytes_of_the_r2plus1d_tool(videos: Path, tmp_path: Path) -> None:
    """The golden arrays are what cv2.imread returns, blue first: of a swapped file that is true red."""
    frames = np.load(DATA / "video" / "expected_frames.npz")
    args = ["--profile", "r2plus1d_mindspore"]
    extract(videos, tmp_path / "true", *args)
    extract(videos, tmp_path / "swapped", *args, "--swap-red-blue")
    for number, name in ((0, "00000.jpg"), (10, "000010.jpg")):
        golden = frames[f"r2plus1d_cv2imread_frame{number}"].astype(int)
        read = {}
        for kind in ("true", "swapped"):
            with Image.open(tmp_path / kind / "Archery" / "v_Archery_g01_c01" / name) as image:
                read[kind] = np.asarray(image, int)
        assert np.abs(read["swapped"][..., ::-1] - golden).mean() < 0.5
        # Chroma is stored at half the resolution, so that other colours lose other details.
        assert np.abs(read["true"] - golden).mean() < 4 < np.abs(read["true"][..., ::-1] - golden).mean()


def test_c3d_tf_takes_five_frames_a_second_of_those_that_are_there(videos: Path, tmp_path: Path) -> None:
    extract(videos, tmp_path / "jpg", "--profile", "c3d_tf")
    folder = tmp_path / "jpg" / "Archery" / "v_Archery_g01_c01"
    # 13 frames at 10/s.
    assert frames_in(folder) == [f"{number:05d}.jpg" for number in range(1, len(frames_in(folder)) + 1)]
    assert 6 <= len(frames_in(folder)) <= 7
    truth = [frame(EXPECTED["seed"], t, 90, 100).astype(int) for t in range(13)]
    for name in frames_in(folder):
        with Image.open(folder / name) as image:
            assert image.size == (100, 90)
            differences = [np.abs(np.asarray(image, int) - one).mean() for one in truth]
        # Interpolated frames would be far from all of them.
        assert min(differences) < 25 and sorted(differences)[1] > 1.2 * min(differences)


def test_a_profile_can_be_changed_in_parts(videos: Path, tmp_path: Path) -> None:
    args = ["--profile", "c3d_mmaction", "--size", "64x48", "--frame-name", "f{}.jpg", "--first-frame", 7]
    extract(videos, tmp_path / "jpg", *args)
    folder = tmp_path / "jpg" / "Archery" / "v_Archery_g01_c01"
    assert set(frames_in(folder)) == {f"f{number}.jpg" for number in range(7, 20)}
    with Image.open(folder / "f7.jpg") as image:
        assert image.size == (64, 48)
    assert "0 extracted, 1 up to date" in extract(videos, tmp_path / "jpg", *args)
    # Frames of other names are ours, too: the folder has our record.
    assert "1 extracted" in extract(videos, tmp_path / "jpg")
    assert "image_00001.jpg" in frames_in(folder) and "f7.jpg" not in frames_in(folder)


def test_folders_of_earlier_releases_are_up_to_date(videos: Path, tmp_path: Path) -> None:
    extract(videos, tmp_path / "jpg")
    record = tmp_path / "jpg" / "Archery" / "v_Archery_g01_c01" / ".frames.json"
    content = json.loads(record.read_text())
    del content["names"]
    content["settings"] = {"side": 240, "quality": 0, "fps": 0}
    record.write_text(json.dumps(content))
    assert "0 extracted, 1 up to date" in extract(videos, tmp_path / "jpg")


def test_chroma_stays_as_in_a_subsampled_video(make_video: MakeVideo, tmp_path: Path) -> None:
    make_video(tmp_path / "videos" / "a" / "v.mp4", codec="mpeg4")
    extract(tmp_path / "videos", tmp_path / "jpg")
    with Image.open(tmp_path / "jpg" / "a" / "v" / "image_00001.jpg") as image:
        assert [layer[1:3] for layer in image.layer] == [(2, 2), (1, 1), (1, 1)]


# Sizes of the 3d_resnet recipe: shorter side 240, the other one rounded to nearest, halves up, also upwards.
SIZES = {
    (853, 480): (427, 240),
    (500, 333): (360, 240),
    (176, 144): (293, 240),
    (100, 100): (240, 240),
    (90, 160): (240, 427),
    (320, 240): (320, 240),
}


def test_size_rule(make_video: MakeVideo, tmp_path: Path) -> None:
    for width, height in SIZES:
        make_video(tmp_path / "videos" / "a" / f"{width}x{height}.avi", width, height, frames=1)
    extract(tmp_path / "videos", tmp_path / "jpg")
    for (width, height), size in SIZES.items():
        with Image.open(tmp_path / "jpg" / "a" / f"{width}x{height}" / "image_00001.jpg") as image:
            assert image.size == size


def test_fps_interpolates(videos: Path, tmp_path: Path) -> None:
    extract(videos, tmp_path / "jpg", "--fps", 5)
    assert 5 <= len(frames_in(tmp_path / "jpg" / "Archery" / "v_Archery_g01_c01")) <= 7


def test_only_the_extension_is_cut_and_odd_names_stay(make_video: MakeVideo, tmp_path: Path) -> None:
    names = ["mr.dot_x", "(x)[y]&z;+@#!-1", "with blank"]
    for name in names:
        make_video(tmp_path / "videos" / "a" / f"{name}.AVI", frames=2)
    (tmp_path / "videos" / "a" / "notes.txt").write_text("not a video")
    (tmp_path / "videos" / "a" / "._mr.avi").write_text("a desktop's droppings")
    (tmp_path / "videos" / ".hidden").mkdir()
    extract(tmp_path / "videos", tmp_path / "jpg")
    assert sorted(path.name for path in (tmp_path / "jpg" / "a").iterdir()) == sorted(names)
    for name in names:
        assert frames_in(tmp_path / "jpg" / "a" / name) == ["image_00001.jpg", "image_00002.jpg"]


def test_workers_do_not_change_a_byte(make_video: MakeVideo, tmp_path: Path) -> None:
    for number in range(5):
        make_video(tmp_path / "videos" / f"c{number % 2}" / f"{number}.avi", frames=number + 1)
    extract(tmp_path / "videos", tmp_path / "one", "--workers", 1)
    extract(tmp_path / "videos", tmp_path / "three", "--workers", 3)
    assert tree(tmp_path / "one") == tree(tmp_path / "three")
    assert len(tree(tmp_path / "one")) == 15 + 5


def test_what_is_complete_is_kept_and_the_rest_made_anew(make_video: MakeVideo, tmp_path: Path) -> None:
    for name in "abc":
        make_video(tmp_path / "videos" / "x" / f"{name}.avi")
    output = tmp_path / "jpg" / "x"
    assert "3 extracted, 0 up to date" in extract(tmp_path / "videos", output.parent)
    before = tree(output)
    (output / "a" / "image_00002.jpg").unlink()
    shutil.rmtree(output / "b")
    kept = (output / "c" / "image_00001.jpg").stat().st_mtime_ns
    assert "2 extracted, 1 up to date" in extract(tmp_path / "videos", output.parent)
    assert tree(output) == before
    assert (output / "c" / "image_00001.jpg").stat().st_mtime_ns == kept
    assert "3 extracted" in extract(tmp_path / "videos", output.parent, "--force")
    assert "3 extracted" in extract(tmp_path / "videos", output.parent, "--size", 32)
    make_video(tmp_path / "videos" / "x" / "a.avi", frames=1)
    assert "1 extracted, 2 up to date" in extract(tmp_path / "videos", output.parent, "--size", 32)
    assert frames_in(output / "a") == ["image_00001.jpg"]


def test_a_killed_runs_remains_are_replaced(make_video: MakeVideo, tmp_path: Path, monkeypatch) -> None:
    from clip2om.scripts.dataset import frame_folder
    from clip2om.scripts.dataset.jpeg_frames import Settings

    video = make_video(tmp_path / "videos" / "x" / "v.avi")
    task = frame_folder.Task(str(video), str(tmp_path / "jpg" / "x" / "v"), Settings())
    with monkeypatch.context() as patch:
        # A kill leaves the folder of the run as it was at that moment: nothing is cleaned up.
        patch.setattr(frame_folder, "_replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        patch.setattr(frame_folder.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            frame_folder.extract(task)
    assert [path.name[:9] for path in (tmp_path / "jpg" / "x").iterdir()] == [".partial-"]
    extract(tmp_path / "videos", tmp_path / "jpg")
    assert [path.name for path in (tmp_path / "jpg" / "x").iterdir()] == ["v"]


def test_foreign_files_are_left_alone(make_video: MakeVideo, tmp_path: Path) -> None:
    make_video(tmp_path / "videos" / "x" / "mine.avi")
    make_video(tmp_path / "videos" / "x" / "ours.avi")
    note = tmp_path / "jpg" / "x" / "mine" / "notes.txt"
    note.parent.mkdir(parents=True)
    note.write_text("keep me")
    assert "1 extracted, 0 up to date, 1 skipped" in extract(tmp_path / "videos", tmp_path / "jpg", "--force")
    assert [path.name for path in note.parent.iterdir()] == ["notes.txt"]


def test_broken_videos_are_listed_and_skipped(make_video: MakeVideo, tmp_path: Path) -> None:
    folder = tmp_path / "videos" / "x"
    make_video(folder / "good.avi")
    (folder / "empty.avi").write_bytes(b"")
    (folder / "text.avi").write_text("no video")
    (folder / "cut.avi").write_bytes(GOLDEN_VIDEO.read_bytes()[:150_000])
    said = extract(tmp_path / "videos", tmp_path / "jpg")
    assert "1 extracted, 0 up to date, 3 skipped" in said
    assert "cut.avi: it is cut off: " in said and " of 13 frames are there" in said
    assert said.count("invalid data") == 2
    assert [path.name for path in (tmp_path / "jpg" / "x").iterdir()] == ["good"]
    refused(stage("scripts.extract_frames", tmp_path / "videos", tmp_path / "jpg", "--strict"), "3 videos were skipped")


def test_sound_without_pictures_is_skipped(tmp_path: Path) -> None:
    import av

    from clip2om.preprocess.errors import BadVideoError
    from clip2om.scripts.dataset.jpeg_frames import Settings, jpeg_frames

    path = tmp_path / "sound.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(BadVideoError, match="has no video stream"):
        list(jpeg_frames(str(path), Settings()))


def test_refusals(make_video: MakeVideo, tmp_path: Path) -> None:
    def run(*args: object, words: str) -> None:
        refused(stage("scripts.extract_frames", *args), *words.split("|"))

    output = tmp_path / "jpg"
    run(tmp_path / "none", output, words="no such folder|check VIDEOS")
    (tmp_path / "flat").mkdir()
    make_video(tmp_path / "flat" / "v.avi")
    run(tmp_path / "flat", output, words="no VIDEOS/<class>/*.{avi,")
    twins = make_video(tmp_path / "twins" / "x" / "v.avi").parent
    make_video(twins / "v.mkv")
    run(twins.parent, output, words="v.avi would share a folder|rename")
    run(tmp_path, output, "--quality", 101, words="'101' is neither ffmpeg nor")
    run(tmp_path, output, "--size", 0, words="--size|'0' is not an integer")
    run(tmp_path, output, "--size", "171x", words="--size|'' is not an integer")
    run(tmp_path, output, "--profile", "c3d", words="--profile|invalid choice: 'c3d'")
    run(tmp_path, output, "--swap-red-blue", words="--swap-red-blue: takes Pillow's encoder|add --quality 95")
    for name in ("image.jpg", "a{}{}.jpg", "{:05d}.png", "x/{}.jpg", "{name}.jpg"):
        run(tmp_path, output, "--frame-name", name, words="is not a name such as image_{:05d}.jpg")
    (tmp_path / "bad" / "x").mkdir(parents=True)
    (tmp_path / "bad" / "x" / "v.avi").write_text("no video")
    run(tmp_path / "bad", output, words="no video can be used|invalid data")
    assert not (output / "x").exists() or not any((output / "x").iterdir())
