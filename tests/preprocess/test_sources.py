"""Reading frames: JPEG files decode as the recipe's libraries do; video files give the same clips as their frames."""

from __future__ import annotations

import hashlib
import json
import shutil
import unicodedata
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from clip2om.pipeline.manifest import read_manifest
from clip2om.preprocess.errors import BadVideoError
from clip2om.preprocess.frames import as_array
from clip2om.preprocess.sources import Source
from tests.command import refused, stage
from tests.formula import DATA, frame
from tests.preprocess.conftest import SmallSet


def write_video(path: Path, seed: int, count: int, size: tuple, codec: str = "ffv1") -> None:
    """Encode formula frames; ffv1 in bgr0 loses nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = size
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        for number in range(count):
            picture = av.VideoFrame.from_ndarray(frame(seed, number, *size), format="rgb24")
            container.mux(stream.encode(picture.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode())


@pytest.mark.parametrize("name", ["gray.jpg", "q75_444.jpg", "q85_422_prog.jpg", "q95_420.jpg"])
def test_jpeg_files_decode_to_the_golden_bytes(tmp_path: Path, name: str) -> None:
    expected = json.loads((DATA / "jpeg" / "decoded.json").read_text())["decoded_as_rgb"][name]
    (tmp_path / "image_00001.jpg").write_bytes((DATA / "jpeg" / name).read_bytes())
    ((_, frame_),) = Source("frames", str(tmp_path), "image_{:05d}.jpg").read([1])
    assert hashlib.sha256(as_array(frame_).tobytes()).hexdigest() == expected["rgb_sha256"]


def test_video_files_give_the_same_tensors_as_their_frames(small: SmallSet) -> None:
    assert stage("preprocess", *small.args()).returncode == 0
    videos = small.root / "videos"
    for number in range(4):
        write_video(videos / ["walk", "run"][number % 2] / f"video_{number}.avi", number, 20, (24, 32))
    output = small.root / "from_videos"
    done = stage("preprocess", *small.args("--video-path", videos, "--output", output))
    assert done.returncode == 0, done.stderr
    for name in ("batch_00000.bin", "batch_00001.bin", "hmdb51.info"):
        assert (output / name).read_bytes() == (small.output / name).read_bytes()
    assert "FFmpeg" in read_manifest(output).fingerprint.decoder
    assert read_manifest(output).fingerprint.digest != read_manifest(small.output).fingerprint.digest


def test_annotation_that_an_editor_on_windows_has_saved(small: SmallSet) -> None:
    text = small.annotation.read_text().replace("}, ", "},\r\n")
    small.annotation.write_bytes(b"\xef\xbb\xbf" + text.encode())
    done = stage("preprocess", *small.args())
    assert done.returncode == 0, done.stderr
    assert len(read_manifest(small.output).videos) == 4


def test_whole_video_without_a_segment(small: SmallSet) -> None:
    write_video(small.root / "videos" / "walk" / "video_0.mp4", 0, 21, (24, 32), "mpeg4")
    small.database = {"video_0": {"subset": "validation", "annotations": {"label": "walk"}}}
    small.annotate()
    done = stage("preprocess", *small.args("--video-path", small.root / "videos"))
    assert done.returncode == 0, done.stderr
    assert read_manifest(small.output).videos[0].segment == (1, 22)


def test_broken_videos_are_skipped_with_their_reason(small: SmallSet) -> None:
    videos = small.root / "videos"
    for number in range(4):
        write_video(videos / ["walk", "run"][number % 2] / f"video_{number}.avi", number, 20, (24, 32))
    whole = (videos / "run" / "video_1.avi").read_bytes()
    (videos / "run" / "video_1.avi").write_bytes(whole[: len(whole) // 2])
    (videos / "run" / "video_3.avi").write_bytes(b"this is no video at all")
    small.database["video_2"]["annotations"]["segment"] = [1, 10**9]
    small.annotate()
    done = stage("preprocess", *small.args("--video-path", videos))
    assert done.returncode == 0, done.stderr
    reasons = {item.id: item.reason for item in read_manifest(small.output).skipped}
    assert set(reasons) == {"video_1", "video_2", "video_3"}
    assert "frames" in reasons["video_1"]
    assert reasons["video_2"] == "its segment ends at frame 999999999, the file holds 20 frames"
    assert reasons["video_3"].startswith("cannot be opened")
    strict = small.args("--video-path", videos, "--strict", "--workers", "1", "--output", small.root / "strict")
    refused(stage("preprocess", *strict), "video_1")


def test_random_starts_are_drawn_in_the_order_of_the_videos(small: SmallSet) -> None:
    # Video files are looked at by several threads, folders of frames are not; an unusable video takes no draw.
    for number in range(4, 12):
        small.add(f"video_{number}", ["walk", "run"][number % 2], number, 20 + number)
    videos = small.root / "videos"
    for number, (name, entry) in enumerate(small.database.items()):
        last = entry["annotations"]["segment"][1]
        write_video(videos / entry["annotations"]["label"] / f"{name}.avi", number, last - 1, (24, 32))
    shutil.rmtree(small.frames / "run" / "video_5")
    (videos / "run" / "video_5.avi").write_bytes(b"this is no video at all")
    sampled = ["--set", "clips.sampler='consecutive'", "--set", "clips.start='random'", "--set", "clips.count=1"]
    found = []
    for folder in (small.frames, videos):
        done = stage("preprocess", *small.args(*sampled, "--video-path", folder, "--output", small.root / folder.name))
        assert done.returncode == 0, done.stderr
        manifest = read_manifest(small.root / folder.name)
        assert [item.id for item in manifest.skipped] == ["video_5"]
        found.append([(video.id, video.clips) for video in manifest.videos])
    assert found[0] == found[1]
    assert len({clip[2] for _, (clip,) in found[0]}) > 3, "the starts should differ"


def test_video_cut_off_behind_a_frame_is_noticed_without_a_segment(small: SmallSet) -> None:
    path = small.root / "videos" / "walk" / "video_0.avi"
    write_video(path, 0, 40, (24, 32))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    small.database = {"video_0": {"subset": "validation", "annotations": {"label": "walk"}}}
    small.annotate()
    refused(stage("preprocess", *small.args("--video-path", small.root / "videos")), "cut off", "of 40 frames")


def test_frames_are_decoded_once_and_in_order(tmp_path: Path) -> None:
    write_video(tmp_path / "a.avi", 3, 12, (24, 32))
    numbers = []
    for number, pixels in Source("video", str(tmp_path / "a.avi"), "").read([2, 3, 11]):
        np.testing.assert_array_equal(as_array(pixels), frame(3, number - 1, 24, 32))
        numbers.append(number)
    assert numbers == [2, 3, 11]


def test_text_file_under_an_image_name(tmp_path: Path) -> None:
    (tmp_path / "image_00001.jpg").write_text("no image")
    with pytest.raises(BadVideoError, match=r"image_00001\.jpg cannot be decoded"):
        list(Source("frames", str(tmp_path), "image_{:05d}.jpg").read([1]))


def test_sixteen_bit_grey_png_under_an_image_name(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 20), 40000, np.uint16)).save(tmp_path / "image_00001.jpg", format="PNG")
    ((_, frame_),) = Source("frames", str(tmp_path), "image_{:05d}.jpg").read([1])
    assert as_array(frame_).shape == (20, 20, 3)


def test_files_that_are_no_videos_are_named_and_suffixes_may_be_in_capitals(small: SmallSet) -> None:
    videos = small.root / "videos"
    for name in ("a.MP4", "b.wmv", "c.Mpeg", "d.webm"):
        write_video(videos / "walk" / f"{name}.avi", 0, 20, (24, 32))
        (videos / "walk" / f"{name}.avi").rename(videos / "walk" / name)
    (videos / "walk" / "notes.docx").write_text("no video")
    (videos / "list.txt").write_text("no video")
    card = ["--set", "dataset.format='folders'", "--set", "dataset.labels=''"]
    done = stage("preprocess", *small.args(*card, "--video-path", videos, "--annotation-path", videos))
    assert done.returncode == 0, done.stderr
    assert "2 files that are no videos by their names: list.txt, walk/notes.docx" in done.stderr
    assert [video.id for video in read_manifest(small.output).videos] == ["a", "b", "c", "d"]


def test_entries_without_a_suffix_find_files_in_any_spelling(small: SmallSet) -> None:
    videos = small.root / "videos"
    for name in ("one.AVI", unicodedata.normalize("NFD", "zwölf.avi"), "three.FLV"):
        write_video(videos / "walk" / "x.avi", 0, 20, (24, 32))
        (videos / "walk" / "x.avi").rename(videos / "walk" / name)
    entry = {"subset": "val", "annotations": {"label": "walk"}}
    small.database = {name: dict(entry) for name in ("one", "zwölf", "three")}
    small.database["by_path"] = {**entry, "video_path": "walk\\one.AVI"}
    small.annotation.write_bytes(json.dumps({"labels": ["walk"], "database": small.database}).encode("utf-16"))
    done = stage("preprocess", *small.args("--video-path", videos))
    assert done.returncode == 0, done.stderr
    assert [video.id for video in read_manifest(small.output).videos] == ["one", "zwölf", "three", "by_path"]


def test_names_that_are_no_utf8(small: SmallSet) -> None:
    videos = small.root / "videos" / "walk"
    write_video(videos / "x.avi", 0, 20, (24, 32))
    (videos / "x.avi").rename(videos / "caf\udce9.avi")
    card = ["--set", "dataset.format='folders'", "--set", "dataset.labels=''"]
    done = stage("preprocess", *small.args(*card, "--video-path", videos.parent, "--annotation-path", videos.parent))
    assert done.returncode == 0, done.stderr
    assert [video.id for video in read_manifest(small.output).videos] == ["caf%E9"]
