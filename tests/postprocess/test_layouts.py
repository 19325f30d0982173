"""Every place and format in which runners leave their results, scored equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Callable, Dict

import numpy as np
import pytest

from tests.postprocess.cases import load, six_classes, tops, write_all, write_own
from tests.postprocess.conftest import Case

Arrays = Dict[str, np.ndarray]
STAMP = "2024_11_21-09_05_03"


def _split(arrays: Arrays) -> "list[Arrays]":
    names = list(arrays)
    half = len(names) // 2
    return [{name: arrays[name] for name in names[:half]}, {name: arrays[name] for name in names[half:]}]


def _ais_bench(ending: str) -> Callable[[Path, Arrays], Path]:
    def write(root: Path, arrays: Arrays) -> Path:
        write_all(root / STAMP, arrays, "{first}_0", ending)
        (root / f"{STAMP}_summary.json").write_text(json.dumps({"filesinfo": {}, "throughput": 1.0}))
        return root

    return write


def _ais_bench_2021(root: Path, arrays: Arrays) -> Path:
    write_all(root / STAMP, arrays, "{first}_0")
    (root / STAMP / "sumary.json").write_text("{}")
    return root / STAMP


def _foreign_summary_inside(root: Path, arrays: Arrays) -> Path:
    write_all(root, arrays, "{first}_0")
    (root / "summary.json").write_text('{"throughput": 1.0}')
    return root


def _two_devices(root: Path, arrays: Arrays) -> Path:
    for number, part in enumerate(_split(arrays)):
        write_all(root / STAMP / f"device{number}", part, "{first}_0")
    return root


def _two_devices_2025(root: Path, arrays: Arrays) -> Path:
    for number, part in enumerate(_split(arrays)):
        write_all(root / f"device{number}_{number}", part, "{first}_0")
        (root / f"device{number}_{number}_summary.json").write_text("{}")
    return root


def _msame(ending: str) -> Callable[[Path, Arrays], Path]:
    def write(root: Path, arrays: Arrays) -> Path:
        write_all(root / "2024111_9_5_3_123456", arrays, "{last}_output_0", ending)
        return root

    return write


def _mindspore(root: Path, arrays: Arrays) -> Path:
    write_all(root / "result_Files", arrays, "{first}_0")
    (root / "time_Result").mkdir()
    (root / "time_Result" / "test_perform_static.txt").write_text("mean 1.0\n")
    return root


def _second_output(root: Path, arrays: Arrays) -> Path:
    write_all(root, arrays, "{first}_0")
    write_all(root, {name: array[:, :2] for name, array in arrays.items()}, "{first}_1")
    return root


RUNNERS = {
    "ais_bench BIN": _ais_bench("bin"),
    "ais_bench NPY": _ais_bench("npy"),
    "ais_bench TXT": _ais_bench("txt"),
    "ais_bench, summary inside": _ais_bench_2021,
    "ais_bench, two devices": _two_devices,
    "ais_bench of 2025, two devices": _two_devices_2025,
    "msame BIN": _msame("bin"),
    "msame TXT": _msame("txt"),
    "mindspore": _mindspore,
    "a summary.json of another tool": _foreign_summary_inside,
    "a second output": _second_output,
}


@pytest.mark.parametrize("layout", ["packed", "per-video", "per-clip"])
@pytest.mark.parametrize("runner", RUNNERS)
def test_runners_agree(runner: str, layout: str, case: Case, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    case.build(six_classes(), layout=layout).own()
    assert case.run("-k", 6) == 0
    expected, expected_figures = load(case.results / "val.json"), load(case.results / "accuracy.json")
    folder = RUNNERS[runner](tmp_path / "theirs", case.arrays)
    other = tmp_path / "other"
    capsys.readouterr()
    assert case.run("-k", 6, "--scores", folder, "--output", other) == 0
    assert "warning" not in capsys.readouterr().err
    found = load(other / "val.json")
    assert tops(other / "val.json") == tops(case.results / "val.json")
    # TXT has six decimals.
    tolerance = 1e-6 if "TXT" in runner else 0.0
    for name, entries in expected["results"].items():
        scores = [entry["score"] for entry in found["results"][name]]
        assert scores == pytest.approx([entry["score"] for entry in entries], abs=tolerance, rel=0)
    figures = load(other / "accuracy.json")
    for key in ("video", "clip", "mean_class", "per_class", "coverage"):
        assert figures[key] == expected_figures[key]
    assert figures["origin"]["engine"] is None and expected_figures["origin"]["engine"] == "openvino"


@pytest.mark.parametrize("form", ["npy", "txt"])
def test_formats_of_our_own_runners_agree_exactly(case: Case, tmp_path: Path, form: str) -> None:
    case.build(six_classes()).own()
    assert case.run("-k", 6) == 0
    write_own(tmp_path / "other", case.batches, case.arrays, form=form)
    assert case.run("-k", 6, "--scores", tmp_path / "other", "--output", tmp_path / "out") == 0
    assert (tmp_path / "out" / "val.json").read_bytes() == (case.results / "val.json").read_bytes()
    assert load(tmp_path / "out" / "accuracy.json")["origin"]["format"] == form.upper()


def test_packed_and_per_clip_give_the_same_scores(case: Case, tmp_path: Path) -> None:
    case.build(six_classes()).own()
    assert case.run() == 0
    other = Case(tmp_path / "other").build(six_classes(), layout="per-clip").own()
    assert other.run() == 0
    assert (case.results / "val.json").read_bytes() == (other.results / "val.json").read_bytes()


def test_per_video_layout_repeats_the_cap_of_the_recipe(case: Case, tmp_path: Path) -> None:
    case.build(six_classes(), layout="per-video", batch=2).own()
    assert case.run() == 0
    other = Case(tmp_path / "other").build(six_classes()).own()
    assert other.run("--max-clips", 2) == 0
    assert (case.results / "val.json").read_bytes() == (other.results / "val.json").read_bytes()
    assert load(case.results / "accuracy.json")["coverage"]["left_out_clips"] == 1 + 2 + 3
    assert load(other.results / "accuracy.json")["coverage"]["left_out_clips"] == 1 + 2 + 3


def test_float16_is_told_by_half_the_bytes(case: Case, capsys: pytest.CaptureFixture) -> None:
    case.build(six_classes())
    write_all(case.scores, {name: array.astype(np.float16) for name, array in case.arrays.items()}, "{first}_0")
    assert case.run() == 0
    assert "taken for float16: 48 bytes are half of what float32 takes" in capsys.readouterr().err
    half = tops(case.results / "val.json")
    assert load(case.results / "accuracy.json")["origin"]["format"] == "BIN float16"
    assert case.run("--output-dtype", "float16") == 0
    assert "taken for" not in capsys.readouterr().err
    case.own()
    assert case.run() == 0
    assert tops(case.results / "val.json") == half


def test_float16_of_our_own_is_recorded(case: Case, capsys: pytest.CaptureFixture) -> None:
    case.build(six_classes()).own("float16")
    assert case.run() == 0
    error = capsys.readouterr().err
    assert "BIN float16" in error and "taken for" not in error


def test_names_with_dots_are_found_when_the_runner_kept_them(case: Case) -> None:
    case.build(six_classes(["walk", "walk.1", "walk.2"]), layout="per-video")
    write_all(case.scores, case.arrays, "{last}_0")
    assert case.run() == 0
    assert list(tops(case.results / "val.json")) == ["walk", "walk.1", "walk.2"]


def test_one_name_with_a_dot_is_found_cut(case: Case) -> None:
    case.build(six_classes(["walk.1", "run"]), layout="per-video")
    write_all(case.scores, case.arrays, "{first}_0")
    assert case.run() == 0


def test_names_cut_alike_are_refused(case: Case, fails: Callable[..., str]) -> None:
    case.build(six_classes(["walk.1", "walk.2"]), layout="per-video")
    write_all(case.scores, case.arrays, "{first}_0")
    fails(case.run(), "walk_0.bin", "walk.1.bin", "walk.2.bin", "cuts names at a dot", "--file-names safe")


def test_a_result_in_two_device_folders_is_refused(case: Case, fails: Callable[..., str]) -> None:
    case.build(six_classes())
    for device in ("device0_0", "device1_1"):
        write_all(case.scores / device, case.arrays, "{first}_0")
    fails(case.run(), "two results for batch_00000.bin", "device0_0/batch_00000_0.bin", "device1_1/batch_00000_0.bin")


def test_a_result_with_two_endings_is_refused(case: Case, fails: Callable[..., str]) -> None:
    case.build(six_classes())
    write_all(case.scores, case.arrays, "{first}_0")
    write_all(case.scores, case.arrays, "{first}_0", "txt")
    fails(case.run(), "batch_00000_0.bin and", "batch_00000_0.txt")


def test_a_folder_of_two_runs_is_refused(case: Case, fails: Callable[..., str]) -> None:
    case.build(six_classes())
    write_all(case.scores / STAMP, case.arrays, "{first}_0")
    write_all(case.scores / "2024_11_22-09_05_03", case.arrays, "{first}_0")
    fails(case.run(), "holds 2 runs", STAMP, "--scores")


def test_the_parent_of_our_own_run_will_do(case: Case, tmp_path: Path) -> None:
    case.build(six_classes())
    write_own(tmp_path / "runs" / "cpu", case.batches, case.arrays)
    assert case.run("--scores", tmp_path / "runs") == 0


def test_missing_and_extra_files_are_told_apart(case: Case, capsys: pytest.CaptureFixture) -> None:
    case.build(six_classes(), layout="per-clip")
    write_all(case.scores, case.arrays, "{first}_0")
    (case.scores / "clip_000002_0.bin").unlink()
    (case.scores / "stranger.bin").write_bytes(b"x")
    (case.scores / ".partial-clip_000002_0.bin").write_bytes(b"x")
    assert case.run() == 0
    shown = capsys.readouterr()
    assert "warning: 1 of 15 batch files have no result: clip_000002.bin" in shown.err
    assert "warning: 1 result file of no batch file, not read: stranger.bin" in shown.err
    # Video b owns clips 1 and 2: half a video is no video.
    assert "5 videos expected, 4 scored, 1 without scores; videos without scores count as wrong" in shown.out
    assert "without scores: b (no result of clip_000002.bin (1 of 2 clips))" in shown.out
    assert list(tops(case.results / "val.json")) == ["a", "c", "d", "e"]


def test_results_of_files_in_which_every_video_was_skipped_are_no_strangers(
    case: Case, capsys: pytest.CaptureFixture
) -> None:
    """What is found broken while the batches are made leaves its file behind, without a clip."""
    case.build(six_classes(), layout="per-clip")
    manifest = load(case.batches / "manifest.json")
    (broken,) = [video for video in manifest["videos"] if video["id"] == "b"]
    manifest["videos"].remove(broken)
    manifest["skipped"].append({"id": "b", "label": broken["label"], "reason": "cut off"})
    (case.batches / "manifest.json").write_text(json.dumps(manifest))
    for write in (lambda: write_all(case.scores, case.arrays, "{first}_0"), case.own):
        write()
        assert case.run() == 0
        shown = capsys.readouterr()
        assert "not read" not in shown.err
        assert "5 videos expected, 4 scored, 1 skipped" in shown.out


def test_more_missing_videos_than_the_terminal_lists(case: Case, capsys: pytest.CaptureFixture) -> None:
    case.build(six_classes([f"v{number:02d}" for number in range(13)]), layout="per-video", batch=16)
    write_all(case.scores, {"v00.bin": case.arrays["v00.bin"]}, "{first}_0")
    assert case.run() == 0
    shown = capsys.readouterr()
    assert "and 2 more, listed in accuracy.json" in shown.out
    assert "v10.bin and 2 more" in shown.err
    assert len(load(case.results / "accuracy.json")["coverage"]["absent"]) == 12
