"""Lists of the recipes that are not what they should be: one line each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Callable, Dict, List

import numpy as np
import pytest

from clip2om.postprocess.__main__ import main
from tests.command import refused, stage
from tests.postprocess.cases import CARD as PLAIN_CARD
from tests.postprocess.cases import annotation, load, six_classes
from tests.postprocess.conftest import Case
from tests.postprocess.test_recipes import CARD, HMDB51, UCF101

Fails = Callable[..., str]


def run(tmp_path: Path, *args: object, card: str = CARD) -> int:
    return main([str(word) for word in ("--model", card, "--output", tmp_path / "out", *args)])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ["no such file", "give the list"]),
        ("", ["lists no video"]),
        ("Archery/v_Archery_g01_c01 2\n", ["line 1 is 'Archery/v_Archery_g01_c01 2', expected '<class>/<video>"]),
        ("Archery/v 20 2\nArchery/v 20 2\n", ["lists video 'v' twice"]),
        ("Archery/v 20 two\n", ["line 1 is 'Archery/v 20 two'"]),
        ("Archery/v 20 101\n", ["line 1: class 101 is none of the 101 labels", "dataset.labels"]),
        ("Archery/v 20 3\n", ["line 1: class 3 is 'BabyCrawling' by the labels, but 'Archery' here", "class order"]),
        ("Archery/v 1 20 2\n", ["line 1 is 'Archery/v 1 20 2', expected"]),
        (b"\xff\xfea", ["is no text in UTF-8 or UTF-16"]),
    ],
)
def test_rawframe_lists(tmp_path: Path, fails: Fails, text: "str | bytes | None", words: List[str]) -> None:
    path = tmp_path / "list.txt"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    fails(run(tmp_path, "--rawframe-list", path, "--scores", tmp_path), str(path), *words)


def test_a_list_needs_class_names(tmp_path: Path, fails: Fails) -> None:
    (tmp_path / "list.txt").write_text("left/v 20 0\n")
    code = run(tmp_path, "--rawframe-list", tmp_path / "list.txt", "--scores", tmp_path, card=PLAIN_CARD)
    fails(code, "the card names no label list", "dataset.labels")


def test_names_of_another_class_order(tmp_path: Path, fails: Fails) -> None:
    """The r2plus1d recipe counts in ASCII order, where four classes have other numbers."""
    np.zeros(101, np.float32).tofile(tmp_path / "34_HammerThrowv_HammerThrow_g01_c01_0.bin")
    args = ["--labelled-names", "--scores", tmp_path]
    fails(run(tmp_path, *args), "class 34 is 'Hammering' by the labels, but 'HammerThrow' here", "dataset.labels")
    assert run(tmp_path, *args, "--set", "dataset.labels=ucf101_sorted") == 0
    assert load(tmp_path / "out" / "val.json")["results"].keys() == {"v_HammerThrow_g01_c01"}


def test_labelled_names_that_are_none(tmp_path: Path, fails: Fails) -> None:
    fails(run(tmp_path, "--labelled-names", "--scores", tmp_path / "none"), "no such folder", "--scores")
    (tmp_path / "batch_00000_0.bin").write_bytes(b"")
    (tmp_path / "summary.json").write_text("{}")
    fails(run(tmp_path, "--labelled-names", "--scores", tmp_path), "holds no result file <class number>_<category>")
    (tmp_path / "101_Yoga_0.bin").write_bytes(b"")
    fails(run(tmp_path, "--labelled-names", "--scores", tmp_path), "class 101 is none of the 101 labels")


def test_labelled_names_twice(tmp_path: Path, fails: Fails) -> None:
    row = np.zeros(101, np.float32)
    row.tofile(tmp_path / "2_Archeryv_0.bin")
    np.save(tmp_path / "2_Archeryv_0.npy", row)
    fails(run(tmp_path, "--labelled-names", "--scores", tmp_path), "lists video 'v' twice")


TARGETS: Dict[str, object] = {
    "class_names": {str(number): name for number, name in enumerate(HMDB51)},
    "targets": {"0": [["a", [1, 17]], ["a", [17, 33]]]},
}
LABEL: Dict[str, object] = {"0": [{"file_name": "x_0_0.bin", "idx": 0}, {"file_name": "x_0_1.bin", "idx": 1}]}


@pytest.mark.parametrize(
    ("label", "targets", "words"),
    [
        (None, TARGETS, ["label.json: no such file", "preprocess_Result/label"]),
        (LABEL, None, ["targets.json: no such file", "targets.json that the recipe wrote"]),
        ([], TARGETS, ["label.json: is JSON of another shape", "file_name"]),
        ({"0": []}, TARGETS, ["label.json: is JSON of another shape"]),
        ({"0": [{"file_name": "x"}]}, TARGETS, ["label.json: is JSON of another shape"]),
        (LABEL, [], ["targets.json: is JSON of another shape"]),
        (LABEL, {**TARGETS, "targets": {}}, ["targets.json: has no targets of video 0"]),
        (LABEL, {**TARGETS, "targets": {"0": [["a", [1, 17]]]}}, ["lists 1 clips of video 0", "label.json lists 2"]),
        (LABEL, {**TARGETS, "class_names": {"0": "a"}}, ["class_names are not the 51 labels in their order"]),
        ({**LABEL, "1": LABEL["0"]}, {**TARGETS, "targets": {n: [["a", 0]] * 2 for n in "01"}}, ["'a' twice"]),
    ],
)
def test_label_json(tmp_path: Path, fails: Fails, label: object, targets: object, words: List[str]) -> None:
    for name, content in (("label.json", label), ("targets.json", targets)):
        if content is not None:
            (tmp_path / name).write_text(json.dumps(content))
    truth = annotation(tmp_path / "annotation.json", {"a": ("validation", "chew")}, HMDB51)
    lists = ["--label-json", tmp_path / "label.json", "--targets", tmp_path / "targets.json"]
    code = run(tmp_path, *lists, "--annotation-path", truth, "--scores", tmp_path, card="3d_resnet")
    fails(code, *words)


def test_options_that_contradict_each_other(tmp_path: Path) -> None:
    for args, words in {
        ("--info", "x", "--rawframe-list", "y"): "--info and --rawframe-list describe the same thing",
        ("--batches", "x", "--labelled-names"): "--batches and --labelled-names describe the same thing",
        ("--label-json", "x"): "--label-json needs --targets and --annotation-path",
        ("--targets", "x"): "--targets goes with --label-json",
        ("--from-scores", "x", "--rawframe-list", "y"): "--from-scores needs no",
        ("--ties", "both"): "--ties",
        ("--first-videos", "0"): "'0' is not an integer of 1 or more",
    }.items():
        refused(stage("postprocess", *args), words)


def test_rules_that_ask_for_more_than_there_is(case: Case, fails: Fails) -> None:
    case.build(six_classes()).own()
    fails(case.run("--first-videos", 6), "--first-videos: asks for 6 videos, 5 of the subset have scores")
    fails(case.run("--batch-accuracy", 6), "--batch-accuracy: 5 scored videos with a label make no batch of 6")


def test_an_item_that_is_not_whole(tmp_path: Path, fails: Fails) -> None:
    from tests.postprocess.cases import Item, make_batches, outputs, write_all

    items = [
        Item("a", "Archery", np.zeros((10, 101), np.float32)),
        Item("b", "Archery", np.zeros((5, 101), np.float32)),
    ]
    manifest = make_batches(tmp_path / "batches", items, batch=2, labels=UCF101, card=CARD)
    arrays = {name: rows[::10] for name, rows in outputs(manifest, items).items()}
    write_all(tmp_path / "scores", arrays, "{first}_0")
    args = ["--batches", tmp_path / "batches", "--scores", tmp_path / "scores", "--set", "export.average_clips=true"]
    fails(run(tmp_path, *args), "manifest.json: a video does not have 10 clips in one item")
