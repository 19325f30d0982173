"""The stream leaves what the stages leave, whatever happens to it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable, List

import pytest

from tests.cann_sim import environment
from tests.command import refused
from tests.convert.graphs import CLASSES, Graph
from tests.scripts.conftest import MakeVideo
from tests.scripts.stream.stream_case import SHAPE, LabelledSet, StreamCase, members

_ENGINES = [
    ("openvino", "openvino", "uint8"),
    ("openvino", "openvino", "float32"),
    ("onnx", "onnxruntime", "uint8"),
    ("om", "acl", "float32"),
]


@pytest.mark.parametrize(("form", "engine", "dtype"), _ENGINES)
def test_stream_equals_the_stages(tmp_path: Path, form: str, engine: str, dtype: str) -> None:
    # An .om is compiled for its batch from a graph with an open one.
    env = environment() if form == "om" else None
    case = StreamCase(tmp_path, graph=Graph(4, dtype, SHAPE), form=form, env=env)
    done = case.stream("--engine", engine)
    assert done.returncode == 0, done.stderr
    case.run_stages("--engine", engine)
    case.check_same()
    assert not [name for name in case.files() if name.startswith("batches/") and name.endswith(".bin")]
    assert "waiting for the engine" in done.stdout


@pytest.mark.parametrize(
    ("sampler", "graph"),
    [
        ("sampler=uniform count=3", Graph(2, "uint8", SHAPE, clips=3)),
        ("sampler=uniform count=3", Graph(2, "uint8", SHAPE, clips=3, average=True)),
        ("sampler=consecutive count=1 start=random seed=4", Graph(1, "uint8", SHAPE)),
        ("sampler=windows stride=3", Graph(1, "uint8", SHAPE)),
    ],
)
def test_every_way_to_sample_clips(tmp_path: Path, sampler: str, graph: Graph) -> None:
    more = [word for entry in sampler.split() for word in ("--set", f"clips.{entry}")]
    if "stride" not in sampler:
        more += ["--set", "clips.stride=0"]
    if graph.clips:
        more += ["--set", f"input.shape={[graph.clips, *SHAPE]}", "--set", "input.layout=NKCTHW"]
        more += ["--set", f"export.average_clips={str(graph.average).lower()}"]
    case = StreamCase(tmp_path, graph=graph, more=more)
    done = case.stream()
    assert done.returncode == 0, done.stderr
    case.run_stages()
    case.check_same()


def test_video_files(tmp_path: Path, make_video: MakeVideo) -> None:
    case = StreamCase(tmp_path, videos=0)
    for number in range(3):
        make_video(case.data.frames / "walk" / f"film_{number}.avi", frames=20)
        case.data.database[f"film_{number}"] = {"subset": "validation", "annotations": {"label": "walk"}}
    case.data.annotate()
    assert case.stream().returncode == 0
    case.run_stages()
    case.check_same()


def _damage(data: LabelledSet, video: str, number: int) -> None:
    path = data.frames / data.database[video]["annotations"]["label"] / video / f"image_{number:05d}.jpg"
    path.write_bytes(path.read_bytes()[:300])


def test_video_that_turns_out_unusable_is_skipped_as_in_the_stages(tmp_path: Path) -> None:
    case = StreamCase(tmp_path)
    _damage(case.data, "video_1", 20)
    _damage(case.data, "video_4", 1)
    done = case.stream()
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("warning: skipped 'video_") == 2
    case.run_stages()
    case.check_same()
    # A second run has nothing to do, and still knows about both.
    done = case.stream()
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stderr


def test_strict_stops_at_the_first_unusable_video(tmp_path: Path) -> None:
    case = StreamCase(tmp_path)
    _damage(case.data, "video_3", 9)
    refused(case.stream("--strict"), "video 'video_3'", "leave out --strict to skip it")


def test_no_usable_video(tmp_path: Path) -> None:
    case = StreamCase(tmp_path, videos=2)
    _damage(case.data, "video_0", 1)
    _damage(case.data, "video_1", 1)
    refused(case.stream(), "no video can be used")


def test_label_that_the_model_lacks_is_refused_before_anything_is_scored(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"class {number}\n" for number in range(CLASSES)))
    case = StreamCase(tmp_path, more=["--set", f"dataset.labels='{labels.with_suffix('')}'"])
    refused(case.stream(), "label 'walk' of video 'video_0' is not among the", "choose the card of this dataset")
    assert case.files() == []


def _slow(tmp_path: Path) -> StreamCase:
    """Return a case whose simulated device takes 60 ms for each of 15 batches."""
    return StreamCase(tmp_path, videos=20, graph=Graph(4, "uint8", SHAPE), form="om", env=environment(compute_ms=60))


def _wait_for_scores(case: StreamCase, process: subprocess.Popen, count: int = 3) -> None:
    _wait(lambda: len(list((case.streamed / "scores").glob("batch_*.bin"))) >= count, process)


def _wait(ready: Callable[[], bool], process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert process.poll() is None, "the run ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _workers(group: int) -> List[int]:
    found = []
    for member in members(group):
        with contextlib.suppress(OSError):  # it has just ended
            if b"spawn_main" in Path(f"/proc/{member}/cmdline").read_bytes():
                found.append(member)
    return found


def _nobody_left(group: int) -> None:
    deadline = time.monotonic() + 10
    while members(group):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)


@pytest.mark.parametrize("to_group", [True, False])
def test_interrupted_stream_leaves_no_worker_and_goes_on_where_it_was(tmp_path: Path, to_group: bool) -> None:
    case = _slow(tmp_path)
    process = case.start()
    _wait_for_scores(case, process)
    # Ctrl-C reaches every process of the group, kill and timeout only one.
    (os.killpg if to_group else os.kill)(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "stream: error: interrupted; run the same command again to resume"
    assert "Traceback" not in said
    _nobody_left(process.pid)
    assert not (case.streamed / "scores" / "summary.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in (case.streamed / "scores").glob("batch_*.bin")}
    assert 3 <= len(kept) < 15
    done = case.stream()
    assert done.returncode == 0, done.stderr
    assert f"{len(kept)} of 15 batches are kept from an earlier run" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    case.run_stages()
    case.check_same()


@pytest.mark.parametrize("to_group", [True, False])
@pytest.mark.parametrize("later_s", [0.0, 0.1, 0.2])
def test_interrupt_while_the_workers_start_is_one_line(tmp_path: Path, to_group: bool, later_s: float) -> None:
    case = _slow(tmp_path)
    process = case.start()
    _wait(lambda: bool(_workers(process.pid)), process)
    time.sleep(later_s)
    (os.killpg if to_group else os.kill)(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    # Where the interrupt meets exec(), with which dataclasses are made, Python ends by the signal: 130 for a shell too.
    assert process.returncode in (130, -signal.SIGINT)
    assert said.splitlines()[-1] == "stream: error: interrupted; run the same command again to resume"
    assert [line for line in said.splitlines() if not line.startswith("stream: ")] == []
    _nobody_left(process.pid)


def test_killed_stream_leaves_no_worker_and_goes_on_where_it_was(tmp_path: Path) -> None:
    case = _slow(tmp_path)
    process = case.start()
    _wait_for_scores(case, process)
    process.kill()
    process.communicate(timeout=30)
    _nobody_left(process.pid)
    done = case.stream()
    assert done.returncode == 0, done.stderr
    assert "of 15 batches are kept from an earlier run" in done.stderr
    case.run_stages()
    case.check_same()


def test_killed_worker_ends_the_stream_in_one_line(tmp_path: Path) -> None:
    case = _slow(tmp_path)
    process = case.start()
    _wait_for_scores(case, process)
    for worker in _workers(process.pid):
        os.kill(worker, signal.SIGKILL)
    output, said = process.communicate(timeout=30)
    refused(
        subprocess.CompletedProcess([], process.returncode, output, said),
        "a worker process died",
        "run again to resume",
    )
    _nobody_left(process.pid)


def test_changed_video_is_done_again_and_no_other(tmp_path: Path) -> None:
    case = StreamCase(tmp_path)
    assert case.stream().returncode == 0
    before = {path.name: path.stat().st_mtime_ns for path in (case.streamed / "scores").glob("batch_*.bin")}
    frame = case.data.frames / "walk" / "video_0" / "image_00003.jpg"
    os.utime(frame, ns=(1, 1))
    done = case.stream()
    assert done.returncode == 0, done.stderr
    after = {path.name: path.stat().st_mtime_ns for path in (case.streamed / "scores").glob("batch_*.bin")}
    assert [name for name in sorted(after) if after[name] != before[name]] == ["batch_00000_0.bin"]


def test_changed_label_is_counted_without_inference(tmp_path: Path) -> None:
    case = StreamCase(tmp_path)
    assert case.stream().returncode == 0
    before = {path.name: path.stat().st_mtime_ns for path in (case.streamed / "scores").glob("batch_*.bin")}
    # The frames stay where they are, only the class is another one.
    entry = case.data.database["video_2"]
    entry["video_path"] = str(case.data.frames / "walk" / "video_2")
    entry["annotations"]["label"] = "run"
    case.data.annotate()
    done = case.stream()
    assert done.returncode == 0, done.stderr
    assert {path.name: path.stat().st_mtime_ns for path in (case.streamed / "scores").glob("batch_*.bin")} == before
    case.run_stages()
    case.check_same()
    assert "up to date" in case.stream().stderr


def test_fewer_videos_leave_no_scores_of_the_others(tmp_path: Path) -> None:
    case = StreamCase(tmp_path)
    assert case.stream().returncode == 0
    assert case.stream("--limit", 2, "--force").returncode == 0
    assert sorted(path.name for path in (case.streamed / "scores").glob("batch_*.bin")) == [
        "batch_00000_0.bin",
        "batch_00001_0.bin",
    ]


def test_model_and_card_must_fit(tmp_path: Path) -> None:
    case = StreamCase(tmp_path)
    for entry in ("input.shape=[3, 8, 12, 12]", "transform.size=12"):
        case.more += ["--set", entry]
    refused(case.stream(), "the model takes input uint8 4x3x8x16x16")


def test_tools_are_refused(tmp_path: Path) -> None:
    case = StreamCase(tmp_path, graph=Graph(4, "uint8", SHAPE), form="om", env=environment())
    refused(case.stream("--engine", "ais_bench"), "takes folders, not single batches")


def test_missing_model_and_videos(tmp_path: Path) -> None:
    case = StreamCase(tmp_path)
    refused(case.stream("--compiled", tmp_path / "none"), "run python -m convert first")
    refused(case.stream("--video-path", tmp_path / "none"), "no such folder")


def test_accuracy_below_the_gate_is_exit_1_and_leaves_the_results(tmp_path: Path) -> None:
    case = StreamCase(tmp_path, videos=0)
    # One label for every video, and the tiny network gives them all another class.
    for number in range(3):
        case.data.add(f"video_{number}", "other 0", number)
    done = case.stream("--min-accuracy", 0.5)
    hits = json.loads((case.streamed / "results" / "accuracy.json").read_text())["video"]["top-1"]["hits"]
    assert hits == 0
    assert done.returncode == 1
    assert "asked for at least 0.5000" in done.stderr
