"""Labels of single videos: what is refused, and what goes on in spite of a bad file (agreement: tests/test_make.py)."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from clip2om.pipeline.console import Console
from clip2om.scripts.predict import copy as predict_copy
from clip2om.scripts.predict.show import Show
from tests import cann_sim
from tests.command import ROOT, refused, stage
from tests.odd_videos import OddVideos, damaged, needs_ffmpeg


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    assert stage("export", "--model", "3d_resnet_demo", "--output", folder / "graph").returncode == 0
    given = ["--graph", folder / "graph", "--soc", "cpu", "--output", folder / "compiled"]
    assert stage("convert", "--model", "3d_resnet_demo", *given).returncode == 0
    assert stage("scripts.demo_dataset", folder, "--subset", "validation", "--videos-per-class", 1).returncode == 0
    return folder


def _predict(model: Path, *args: object, **options: object):  # type: ignore[no-untyped-def]
    return stage("scripts.predict", "--model", "3d_resnet_demo", "--compiled", model / "compiled", *args, **options)


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


def _video(model: Path, label: str) -> Path:
    return next((model / "videos" / label).glob("*.mp4"))


def _lines(done) -> list:  # type: ignore[no-untyped-def]
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_time_line_has_every_clip_with_its_seconds_before_the_video(model: Path) -> None:
    first, second = _video(model, "grow"), _video(model, "shrink")
    rows = _lines(_predict(model, first, second, "--json", "--timeline", "-k", 1))
    for video in (first, second):
        *clips, whole = [row for row in rows if row["video"] == str(video)]
        assert [clip["clip"] for clip in clips] == list(range(1, whole["clips"] + 1))
        assert (clips[0]["first"], clips[0]["last"]) == (1, 16)
        assert clips[1]["first"] == 17 and clips[1]["seconds"][0] == clips[0]["seconds"][1] > 0
        mean = sum(clip["top"][0]["score"] for clip in clips if clip["top"][0]["label"] == whole["top"][0]["label"])
        assert mean <= whole["top"][0]["score"] * len(clips) + 1e-5
    assert rows.index(whole) == len(rows) - 1


def test_a_stream_on_standard_input_gives_what_the_file_gives(model: Path) -> None:
    video = _video(model, "grow")
    from_file = _lines(_predict(model, video, "--json", "--timeline", "-k", 3))
    with open(video, "rb") as stream:
        from_stream = _lines(_predict(model, "-", "--json", "--timeline", "-k", 3, stdin=stream))
    for row in (*from_file, *from_stream):
        row.pop("video")
    assert from_stream == from_file


def test_a_stream_is_labelled_while_it_arrives(model: Path, tmp_path: Path) -> None:
    """The first clips are told before the last frames are sent: one clip per batch, a pipe that stays open."""
    given = ["--graph", model / "graph", "--soc", "cpu", "--format", "onnx", "--output", tmp_path / "one"]
    more = ["--output", tmp_path / "graph", "--batch", 1]
    assert stage("export", "--model", "3d_resnet_demo", *more).returncode == 0
    given[1] = tmp_path / "graph"
    assert stage("convert", "--model", "3d_resnet_demo", *given).returncode == 0
    command = [sys.executable, "-m", "scripts.predict", "--model", "3d_resnet_demo", "--compiled", tmp_path / "one"]
    clip = tmp_path / "stream.ts"
    _write_stream(clip, frames=160)
    data = clip.read_bytes()
    with subprocess.Popen(
        [*map(str, command), "--timeline", "--json", "-k", "1", "-"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(data[: len(data) * 3 // 4])
        process.stdin.flush()
        early = json.loads(process.stdout.readline())
        assert (early["first"], early["last"]) == (1, 16)
        process.stdin.write(data[len(data) * 3 // 4 :])
        process.stdin.close()
        rows = [json.loads(line) for line in process.stdout.read().splitlines()]
    assert process.returncode == 0
    assert rows[-1]["clips"] == 10 and rows[-2]["last"] == 160


def _write_stream(path: Path, frames: int) -> None:
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 80, "yuv420p"
        noise = np.random.default_rng(3)
        for _ in range(frames):
            picture = noise.integers(0, 256, (80, 96, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def test_labelled_copies_of_videos_and_of_frame_folders(model: Path, tmp_path: Path) -> None:
    video = _video(model, "grow")
    frames = tmp_path / "frames"
    frames.mkdir()
    with av.open(str(video)) as container:
        pictures = [frame.to_image() for frame in container.decode(video=0)]
    for number, picture in enumerate(pictures, 1):
        # An odd width: the codec takes even ones only.
        picture.crop((0, 0, picture.width - 1, picture.height)).save(frames / f"image_{number:05d}.jpg", quality=95)
    done = _predict(model, video, frames, "--save", tmp_path / "out", "--json", "-k", 1)
    assert len(_lines(done)) == 2
    for name, width in ((f"{video.stem}.mp4", pictures[0].width), ("frames.mp4", (pictures[0].width - 1) // 2 * 2)):
        with av.open(str(tmp_path / "out" / name)) as container:
            copy = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(copy) == len(pictures) and copy[0].shape[1] == width
        # The caption: white on black in the lower left corner, nothing of the kind above it.
        corner = copy[5][-12:, :60].astype(int)
        assert corner.min() < 40 and corner.max() > 200
        before = np.asarray(pictures[5])[:-30, :width].astype(int)
        assert np.abs(copy[5][:-30].astype(int) - before).mean() < 8


def test_copies_that_would_overwrite_are_refused(model: Path, tmp_path: Path) -> None:
    video = tmp_path / "a" / "clip.mp4"
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "clip.mp4").write_bytes(_video(model, "grow").read_bytes())
    both = (tmp_path / "a", tmp_path / "b")
    refused(_predict(model, *both, "--save", tmp_path / "out"), "two videos would be copied to it")
    refused(_predict(model, video, "--save", tmp_path / "a"), "is one of the videos themselves")
    assert video.read_bytes() == _video(model, "grow").read_bytes()


def test_what_stands_in_the_way_of_the_copies_is_told_before_the_work(model: Path, tmp_path: Path) -> None:
    video, file = _video(model, "grow"), tmp_path / "file"
    file.write_text("")
    for options, words in (
        (("--save", file), "file: is no folder; pass another one to --save"),
        (("--save", file / "below"), "not a directory"),
        (("--save", tmp_path / "out", "--font", file), "file: is no font"),
    ):
        done = _predict(model, video, *options)
        refused(done, words)
        assert done.stdout == ""


def test_long_labels_shrink_to_the_picture_and_keep_their_score() -> None:
    text = "rotate_counterclockwise  0.97"
    for width, expected in ((320, text), (120, text), (40, "rot..  0.97")):
        shown, font, pad = predict_copy._fitted(text, width, 18, None)
        assert shown == expected and font.getlength(shown) + 2 * pad <= width


def test_a_label_that_the_font_does_not_know_is_told(model: Path, tmp_path: Path) -> None:
    names = ["跑步", "walk", "c", "d", "e", "f", "g", "h"]
    (tmp_path / "names.txt").write_text("\n".join(names), encoding="utf-8")
    done = _predict(model, _video(model, "grow"), "--labels", tmp_path / "names.txt", "--save", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "the font of the copies cannot write 跑; pass another one with --font FILE" in done.stderr


def test_hostile_names_neither_command_the_terminal_nor_look_like_lines(model: Path, tmp_path: Path) -> None:
    names = ["line\nend.mp4", "\x1b[31mred.mp4", "not utf-8 \udcff.mp4"]
    for name in names:
        (tmp_path / name).write_bytes(_video(model, "grow").read_bytes())
    shown = _predict(model, tmp_path, "-k", 1, "--timeline").stdout
    assert "\x1b" not in shown and "\\x1b[31mred.mp4" in shown
    assert "line\\nend.mp4" in shown and not [line for line in shown.splitlines() if line.startswith("end.mp4")]
    rows = _lines(_predict(model, tmp_path, "-k", 1, "--json"))
    assert sorted(Path(row["video"]).name for row in rows) == sorted(names)
    assert all(Path(row["video"]).is_file() for row in rows)


def test_scores_that_are_no_numbers_are_null_in_json() -> None:
    shown = Show(Console("predict"), ["a"], 1, "none", False, True)
    assert shown._named([(0, float("nan"))]) == [{"label": "a", "score": None}]


def test_videos_shorter_than_a_clip_and_of_one_frame(model: Path, tmp_path: Path) -> None:
    for name, frames in (("one.ts", 1), ("five.ts", 5)):
        _write_stream(tmp_path / name, frames)
    one, _, five, whole = _lines(_predict(model, tmp_path / "one.ts", tmp_path / "five.ts", "--json", "--timeline"))
    assert [(row["first"], row["last"]) for row in (one, five)] == [(1, 1), (1, 5)]
    assert whole["clips"] == 1


def test_a_stream_that_breaks_keeps_its_clips_and_one_that_cannot_be_read_says_what_can(
    model: Path, tmp_path: Path
) -> None:
    _write_stream(tmp_path / "stream.ts", frames=80)
    data = (tmp_path / "stream.ts").read_bytes()
    (tmp_path / "half.ts").write_bytes(data[: len(data) // 2])
    with open(tmp_path / "half.ts", "rb") as stream:
        assert 1 <= _lines(_predict(model, "-", "--json", stdin=stream))[0]["clips"] <= 3
    (tmp_path / "half.mp4").write_bytes(_video(model, "grow").read_bytes()[:5000])
    with open(tmp_path / "half.mp4", "rb") as stream:
        done = _predict(model, "-", stdin=stream)
    refused(done, "none of the videos can be decoded")
    assert "a pipe takes what needs no seeking, for example -f mpegts" in done.stderr and "Errno" not in done.stderr


def test_ctrl_c_is_one_line(model: Path) -> None:
    command = [sys.executable, "-m", "scripts.predict", "--model", "3d_resnet_demo", "--compiled", model / "compiled"]
    given = {"cwd": ROOT, "stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*map(str, command), "-"], **given) as process:  # type: ignore[call-overload]
        assert b"openvino" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read().splitlines() == [
            b"predict: error: interrupted; run the same command again to resume"
        ]
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("-", "videos"), "takes standard input alone"),
        (("-", "--save", "out"), "there is no copy of it"),
        (("-",), "none of the videos can be decoded"),
    ],
)
def test_streams_that_cannot_be(model: Path, args: tuple, words: str) -> None:
    refused(_predict(model, *args, stdin=subprocess.DEVNULL), words)


def test_the_simulated_npu_gives_the_labels_of_the_cpu(model: Path, tmp_path: Path) -> None:
    environment = cann_sim.environment(tmp_path / "host", devices=1)
    given = ["--graph", model / "graph", "--soc", "Ascend310P3", "--batch", 10, "--output", tmp_path / "om"]
    assert stage("convert", "--model", "3d_resnet_demo", *given, env=environment).returncode == 0
    videos = model / "videos" / "shrink"
    on_cpu = _lines(_predict(model, videos, "--json", "-k", 2))
    more = ["--compiled", tmp_path / "om", "--json", "-k", 2, videos]
    on_npu = _lines(stage("scripts.predict", "--model", "3d_resnet_demo", *more, env=environment))
    for one, other in zip(on_cpu, on_npu):
        assert [item["label"] for item in one["top"]] == [item["label"] for item in other["top"]]
        assert abs(one["top"][0]["score"] - other["top"][0]["score"]) < 1e-2


@needs_ffmpeg
def test_videos_as_they_are_in_the_world(model: Path, tmp_path: Path) -> None:
    odd = OddVideos(tmp_path)
    paths = [odd[name] for name in ("rate.mp4", "text.avi", "vp8_altref.webm", "song.mp4", "quarter.mp4")]
    header = damaged(odd["fragments.mp4"], tmp_path / "header.mp4", lambda data: data[: data.index(b"moof") - 4])
    done = _predict(model, "--json", "--timeline", *paths, header)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = {Path(line["video"]).name: line for line in lines if "clip" not in line}
    clips = {name: [line for line in lines if "clip" in line and Path(line["video"]).name == name] for name in found}
    assert [name for name, line in found.items() if line["problem"]] == ["song.mp4", "header.mp4"]
    assert clips["rate.mp4"][0]["seconds"] == [0, 0.64]
    assert clips["rate.mp4"][-1]["last"] == clips["vp8_altref.webm"][-1]["last"] == 40
