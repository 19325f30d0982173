"""What is wrong, where, and what to do: one line each, and finished results stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Callable

import numpy as np
import pytest

from clip2om.postprocess.__main__ import main
from tests.postprocess.cases import CARD, LABELS, Item, annotation, load, make_batches, six_classes, write_all
from tests.postprocess.conftest import Case

Fails = Callable[..., str]


@pytest.fixture
def ready(case: Case) -> Case:
    return case.build(six_classes()).own()


def _edit_manifest(case: Case, **changes: object) -> None:
    path = case.batches / "manifest.json"
    path.write_text(json.dumps({**load(path), **changes}))


def test_no_batches(case: Case, fails: Fails) -> None:
    fails(case.run(), "manifest.json: no such file", "run python -m preprocess first")


def test_no_scores(case: Case, fails: Fails) -> None:
    case.build(six_classes())
    fails(case.run(), f"{case.scores}: no such folder", "run python -m infer first")


def test_empty_scores(case: Case, fails: Fails) -> None:
    case.build(six_classes())
    case.scores.mkdir()
    fails(case.run(), "holds no result file, for example batch_00000_0.bin", "run python -m infer first")


def test_results_of_other_batches(case: Case, fails: Fails) -> None:
    case.build(six_classes())
    case.scores.mkdir()
    (case.scores / "summary.json").write_text("{}")
    fails(case.run(), "holds no result of batch_00000.bin")


def test_inference_that_has_not_finished(ready: Case, fails: Fails) -> None:
    (ready.scores / "summary.json").unlink()
    (ready.scores / ".progress.jsonl").write_text("{}\n")
    fails(ready.run(), "has not finished", "resume")


def test_batches_of_another_card(ready: Case, fails: Fails) -> None:
    args = ready.argv()
    args[args.index(CARD)] = "3d_resnet"
    fails(main(args), "made for card 'post_card', not '3d_resnet'", "--model post_card")


def test_scores_of_another_manifest(ready: Case, fails: Fails) -> None:
    make_batches(ready.batches, six_classes(["f", "g", "h", "i", "j"]))
    fails(ready.run(), "another manifest", "summary.json", "run python -m infer again")


def test_a_summary_of_another_version(ready: Case, fails: Fails) -> None:
    path = ready.scores / "summary.json"
    path.write_text(json.dumps({**load(path), "version": 99}))
    fails(ready.run(), "format version 99", "run python -m infer again")


def test_a_file_of_the_summary_is_gone(ready: Case, fails: Fails) -> None:
    (ready.scores / "batch_00002_0.bin").unlink()
    fails(ready.run(), "batch_00002_0.bin", "summary.json names this result", "run python -m infer again")


def test_a_file_changed_after_the_run(ready: Case, fails: Fails) -> None:
    path = ready.scores / "batch_00002_0.bin"
    path.write_bytes(bytes(len(path.read_bytes())))
    fails(ready.run(), "batch_00002_0.bin", "SHA-256", "run python -m infer again")


def test_a_short_file(ready: Case, fails: Fails) -> None:
    path = ready.scores / "batch_00001_0.bin"
    path.write_bytes(path.read_bytes()[:-4])
    fails(ready.run(), "batch_00001_0.bin", "holds 92 bytes, expected 96 (4 rows x 6 labels, float32)")


@pytest.mark.parametrize(("ending", "found"), [("npy", "12"), ("txt", "12")])
def test_a_short_file_of_another_format(case: Case, fails: Fails, ending: str, found: str) -> None:
    case.build(six_classes())
    arrays = {**case.arrays, "batch_00001.bin": case.arrays["batch_00001.bin"][:2]}
    write_all(case.scores, arrays, "{first}_0", ending)
    fails(case.run(), f"batch_00001_0.{ending}", f"holds {found} numbers, expected 24 (4 rows x 6 labels)")


def test_fewer_labels_than_outputs_in_our_summary(case: Case, fails: Fails) -> None:
    case.build([Item("a", "left", np.zeros((1, 7), np.float32))]).own()
    fails(case.run(), "summary.json", "7 outputs per clip, but there are 6 labels")


@pytest.mark.parametrize("ending", ["bin", "npy"])
def test_fewer_labels_than_outputs_of_other_runners(case: Case, fails: Fails, ending: str) -> None:
    case.build([Item("a", "left", np.zeros((1, 7), np.float32))])
    write_all(case.scores, case.arrays, "{first}_0", ending)
    fails(case.run(), f"batch_00000_0.{ending}", "7 outputs per clip, but there are 6 labels")


@pytest.mark.parametrize(("value", "word"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_values_that_are_no_numbers(case: Case, fails: Fails, value: float, word: str) -> None:
    items = six_classes()
    items[2].logits[1, 4] = value
    case.build(items).own()
    fails(case.run(), "batch_00001_0.bin", f"row 0 (counted from 0) holds {word} in column 4", "overflow")


def test_nan_in_padding_does_not_matter(case: Case) -> None:
    case.build(six_classes())
    last = list(case.arrays)[-1]
    case.arrays[last][3] = np.nan
    assert case.own().run() == 0


def test_text_that_is_no_text(case: Case, fails: Fails) -> None:
    case.build(six_classes())
    write_all(case.scores, case.arrays, "{first}_0", "txt")
    (case.scores / "batch_00000_0.txt").write_text("0.1 0.2 one")
    fails(case.run(), "batch_00000_0.txt", "not blank-separated numbers", "one")


def test_a_numpy_file_that_is_none(case: Case, fails: Fails) -> None:
    case.build(six_classes())
    write_all(case.scores, case.arrays, "{first}_0", "npy")
    (case.scores / "batch_00000_0.npy").write_bytes(b"not numpy")
    fails(case.run(), "batch_00000_0.npy", "is not a NumPy file")


def test_a_numpy_file_of_objects_is_not_unpickled(case: Case, fails: Fails) -> None:
    case.build(six_classes())
    write_all(case.scores, case.arrays, "{first}_0", "npy")
    np.save(case.scores / "batch_00000_0.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    fails(case.run(), "batch_00000_0.npy", "is not a NumPy file")


def test_a_numpy_file_of_words(case: Case, fails: Fails) -> None:
    case.build(six_classes())
    write_all(case.scores, case.arrays, "{first}_0", "npy")
    np.save(case.scores / "batch_00000_0.npy", np.array(["a"]))
    fails(case.run(), "batch_00000_0.npy", "no array of numbers")


def test_a_manifest_that_does_not_balance(ready: Case, fails: Fails) -> None:
    _edit_manifest(ready, expected=7)
    fails(ready.run(), "7 videos were expected, but it holds 5", "run python -m preprocess again")


def test_a_manifest_with_a_video_twice(ready: Case, fails: Fails) -> None:
    videos = load(ready.batches / "manifest.json")["videos"]
    _edit_manifest(ready, videos=[*videos[:4], videos[0]])
    fails(ready.run(), "a video twice")


def test_a_manifest_with_a_video_without_clips(ready: Case, fails: Fails) -> None:
    videos = load(ready.batches / "manifest.json")["videos"]
    _edit_manifest(ready, videos=[{**videos[0], "clips": []}, *videos[1:]])
    fails(ready.run(), "video 'a' has no clip")


def test_a_manifest_without_videos(ready: Case, fails: Fails) -> None:
    _edit_manifest(ready, videos=[], expected=0)
    fails(ready.run(), "it holds no video")


def test_a_manifest_with_a_clip_outside(ready: Case, fails: Fails) -> None:
    videos = load(ready.batches / "manifest.json")["videos"]
    _edit_manifest(ready, videos=[{**videos[0], "clips": [[0, 4, 1, 16]]}, *videos[1:]])
    fails(ready.run(), "slot 4 of file 0, but there are 4 files of 4 slots")


def test_a_label_that_the_model_lacks(case: Case, fails: Fails) -> None:
    case.build([Item("a", "sideways", np.zeros((1, 6), np.float32))]).own()
    fails(case.run(), "label 'sideways' of video 'a' is not among the 6 labels of the model", "--model")


def test_another_subset_than_that_of_the_batches(ready: Case, fails: Fails) -> None:
    fails(ready.run("--subset", "train"), "hold subset 'validation', not 'train'", "--annotation-path")


def test_the_short_name_of_the_same_subset(ready: Case) -> None:
    assert ready.run("--subset", "val") == 0


def test_an_annotation_of_other_videos(ready: Case, fails: Fails) -> None:
    path = annotation(ready.root / "annotation.json", {"z": ("validation", "left")})
    fails(ready.run("--annotation-path", path), "none of the 5 scored videos is in subset 'validation'", str(path))


def test_an_annotation_with_other_labels(ready: Case, fails: Fails) -> None:
    path = annotation(ready.root / "annotation.json", {"a": ("validation", "hop")}, [*LABELS, "hop"])
    fails(ready.run("--annotation-path", path), "label 'hop' of video 'a' is not among the 6 labels of the model")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", ["JSON of another shape", "'labels'"]),
        ('{"labels": ["a"], "database": {"v": 3}}', ["entry 'v' has no 'subset'"]),
        ('{"labels": ["a", "a"], "database": {}}', ["'labels' holds a name twice"]),
        ('{"labels": ["a"], "database": {}}', ["no video of subset 'validation'", "choose --subset from: none"]),
        ('{"labels": ["a"], "database": {"v": {"subset": "training"}}}', ["choose --subset from: training"]),
        (
            '{"labels": ["a"], "database": {"v": {"subset": "validation", "annotations": {"label": "b"}}}}',
            ["label 'b' of video 'v' is not in 'labels'"],
        ),
        (
            '{"labels": ["a"], "database": {"v": {"subset": "validation", "annotations": []}}}',
            ["label [] of video 'v' is not in 'labels'"],
        ),
        ("{", ["is not JSON"]),
    ],
)
def test_malformed_annotations(ready: Case, fails: Fails, text: str, words: "list[str]") -> None:
    path = ready.root / "annotation.json"
    path.write_text(text)
    fails(ready.run("--annotation-path", path), str(path), *words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ["no such file"]),
        ("", ["no video"]),
        ("a 1\na 2\n", ["one twice"]),
        ("a 1\nb\n", ["line 2 is 'b'"]),
        ("a 0\n", ["line 1 is 'a 0'"]),
        ("a many\n", ["line 1 is 'a many'"]),
    ],
)
def test_malformed_info_files(tmp_path: Path, fails: Fails, text: "str | None", words: "list[str]") -> None:
    info = tmp_path / "motions.info"
    if text is not None:
        info.write_text(text)
    path = annotation(tmp_path / "annotation.json", {"a": ("validation", "left")})
    args = ["--model", CARD, "--info", info, "--annotation-path", path, "--scores", tmp_path]
    fails(main([str(arg) for arg in args]), str(info), *words)


def test_a_missed_gate_names_both_figures_and_writes_all_the_same(case: Case, fails: Fails) -> None:
    case.build(six_classes()).own()
    code = case.run("--min-accuracy", "1")
    fails(code, "top-1 accuracy is 0.", "of 5), asked for at least 1.0000", "accuracy.json", expected=1)
    assert sorted(path.name for path in case.results.iterdir()) == ["accuracy.json", "scores.npz", "val.json"]


def test_a_gate_without_labels(case: Case, fails: Fails) -> None:
    case.build([Item("a", None, np.zeros((1, 6), np.float32))]).own()
    fails(case.run("--min-accuracy", "0.5"), "no video has a label")


def test_an_error_leaves_earlier_results_whole(ready: Case, fails: Fails) -> None:
    assert ready.run() == 0
    before = {path.name: path.read_bytes() for path in ready.results.iterdir()}
    (ready.scores / "batch_00001_0.bin").write_bytes(b"")
    fails(ready.run(), "batch_00001_0.bin")
    assert {path.name: path.read_bytes() for path in ready.results.iterdir()} == before


def test_an_output_that_cannot_be_a_folder(ready: Case, fails: Fails) -> None:
    ready.results.write_text("in the way")
    fails(ready.run(), str(ready.results))


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["--from-scores", "x.npz", "--scores", "y"], "--from-scores needs no"),
        (["--info", "x.info", "--batches", "y"], "give one of them"),
        (["--info", "x.info"], "--info needs --annotation-path"),
        (["-k", "0"], "'0' is not an integer of 1 or more"),
        (["--min-accuracy", "62"], "'62' is not a number from 0 to 1"),
        (["evaluate", "annotation.json"], "VAL_JSON"),
    ],
)
def test_options_that_contradict_each_other(args: "list[str]", word: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(args)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert word in error and error.count("\n") == 1
