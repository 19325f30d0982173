"""Figures that can be counted by hand: who is in the denominator, who is a hit, and the words for it."""

from __future__ import annotations

from typing import List

import numpy as np
import pytest

from clip2om.pipeline.manifest import Skipped
from tests.postprocess.cases import LABELS, Item, annotation, load, make_batches, six_classes, sure, tops, write_all
from tests.postprocess.conftest import Case

FOUR = [sure("a", "left", "left"), sure("b", "left", "right"), sure("c", "up", "up"), sure("d", "down", "down")]
GONE = [Skipped("e", "up", "its segment ends at frame 9, frame 7 is missing"), Skipped("f", "up", "it is not on disk")]


def _first_line(capsys: pytest.CaptureFixture) -> str:
    return capsys.readouterr().out.splitlines()[0]


def test_all_scored(case: Case, capsys: pytest.CaptureFixture) -> None:
    assert case.build(FOUR).own().run() == 0
    assert _first_line(capsys) == "4 videos expected, 4 scored"
    figures = load(case.results / "accuracy.json")
    top1 = figures["video"]["top-1"]
    assert (top1["hits"], top1["total"], top1["value"]) == (3, 4, 0.75)
    # Wilson, 3 of 4, by hand.
    assert (top1["low"], top1["high"]) == pytest.approx((0.3006418, 0.9544127), abs=1e-7)
    # left 1/2, up 1/1, down 1/1; the three other classes do not occur.
    assert (figures["mean_class"]["classes"], figures["mean_class"]["value"]) == (3, pytest.approx(5 / 6))
    per_class = {item["label"]: (item["accuracy"]["hits"], item["accuracy"]["total"]) for item in figures["per_class"]}
    assert per_class == {
        "left": (1, 2),
        "right": (0, 0),
        "up": (1, 1),
        "down": (1, 1),
        "grow": (0, 0),
        "shrink": (0, 0),
    }
    assert list(per_class) == LABELS


def test_skipped_videos_count_as_wrong(case: Case, capsys: pytest.CaptureFixture) -> None:
    assert case.build(FOUR, skipped=GONE).own().run() == 0
    assert _first_line(capsys) == (
        "6 videos expected, 4 scored, 2 skipped (its segment ends at frame 9, frame 7 is missing: 1; "
        "it is not on disk: 1); skipped videos count as wrong; --ignore leaves them out"
    )
    figures = load(case.results / "accuracy.json")
    assert figures["video"]["top-1"]["value"] == 3 / 6
    up = next(item for item in figures["per_class"] if item["label"] == "up")["accuracy"]
    assert (up["hits"], up["total"]) == (1, 3)
    assert figures["coverage"]["absent"][1] == {
        "id": "f",
        "label": "up",
        "kind": "skipped",
        "reason": "it is not on disk",
    }


def test_ignore_leaves_them_out_in_words(case: Case, capsys: pytest.CaptureFixture) -> None:
    assert case.build(FOUR, skipped=GONE).own().run("--ignore") == 0
    assert "skipped videos are left out of the accuracy (--ignore)" in _first_line(capsys)
    figures = load(case.results / "accuracy.json")
    assert figures["video"]["top-1"]["value"] == 3 / 4
    assert figures["rules"]["ignore"] is True
    assert figures["coverage"]["expected"] == 6


def test_skipped_and_missing_balance(case: Case, capsys: pytest.CaptureFixture) -> None:
    case.build(FOUR, layout="per-video", skipped=GONE)
    write_all(case.scores, {name: array for name, array in case.arrays.items() if name != "c.bin"}, "{first}_0")
    assert case.run() == 0
    line = _first_line(capsys)
    assert line.endswith(
        "1 without scores; skipped videos and videos without scores count as wrong; --ignore leaves them out"
    )
    coverage = load(case.results / "accuracy.json")["coverage"]
    assert coverage["expected"] == coverage["scored"] + coverage["skipped"] + coverage["missing"] == 6


def test_reasons_that_differ_in_numbers_only_are_one(case: Case, capsys: pytest.CaptureFixture) -> None:
    gone = [Skipped(f"s{n}", "up", f"frame {n} is missing") for n in range(7)]
    gone += [Skipped(f"t{n}", "up", reason) for n, reason in enumerate(["it is odd", "it is even", "it is gone"])]
    assert case.build(FOUR, skipped=gone).own().run() == 0
    assert "10 skipped (frame N is missing: 7; it is odd: 1; it is even: 1; other reasons: 1)" in _first_line(capsys)


@pytest.mark.parametrize("videos", [1, 2])
def test_tiny_datasets(case: Case, videos: int, capsys: pytest.CaptureFixture) -> None:
    assert case.build(FOUR[:videos]).own().run("-k", 5) == 0
    assert _first_line(capsys) == f"{videos} video{'s' if videos > 1 else ''} expected, {videos} scored"
    assert load(case.results / "accuracy.json")["video"]["top-1"]["hits"] == 1
    assert [len(labels) for labels in tops(case.results / "val.json").values()] == [5] * videos


def test_k_is_capped_at_the_classes(case: Case, capsys: pytest.CaptureFixture) -> None:
    assert case.build(FOUR).own().run("-k", 50) == 0
    shown = capsys.readouterr()
    assert "k is 6: there are no more classes" in shown.err
    assert shown.out.splitlines()[-1] == "top-6 accuracy: 1.0000 (4 of 4 videos)"
    assert {len(labels) for labels in tops(case.results / "val.json").values()} == {6}
    assert list(load(case.results / "accuracy.json")["video"]) == [f"top-{k}" for k in range(1, 7)]


def test_no_top_5_of_four_classes(case: Case) -> None:
    labels = LABELS[:4]
    items = [Item(item.id, item.label, item.logits[:, :4]) for item in FOUR]
    assert case.build(items, labels=labels).own().run("-k", 2) == 0
    assert list(load(case.results / "accuracy.json")["video"]) == ["top-1", "top-2"]


def test_clip_accuracy_is_another_number_than_video_accuracy(case: Case) -> None:
    clips = np.zeros((3, 6), np.float32)
    clips[0, 1], clips[1, 0], clips[2, 0] = 9.0, 1.0, 1.0
    assert case.build([Item("a", "left", clips)]).own().run() == 0
    figures = load(case.results / "accuracy.json")
    assert (figures["clip"]["top-1"]["hits"], figures["clip"]["top-1"]["total"]) == (2, 3)
    assert figures["video"]["top-1"]["hits"] == 0
    assert case.run("--max-clips", 1) == 0
    assert load(case.results / "accuracy.json")["clip"]["top-1"]["total"] == 1


def test_activation_is_the_cards_unless_told(case: Case) -> None:
    clips = np.zeros((3, 6), np.float32)
    # The mean of the logits prefers the first class, the mean of the probabilities the second.
    clips[0, 0], clips[1:, 1] = 9.0, 4.0
    assert case.build([Item("a", "left", clips)]).own().run() == 0
    assert tops(case.results / "val.json") == {"a": ["right"]}
    assert case.run("--activation", "none") == 0
    assert tops(case.results / "val.json") == {"a": ["left"]}
    assert load(case.results / "accuracy.json")["rules"]["activation"] == "none"
    assert case.run("--set", "scores.activation=none") == 0
    assert tops(case.results / "val.json") == {"a": ["left"]}


def test_videos_without_a_label_are_scored_and_not_counted(case: Case, capsys: pytest.CaptureFixture) -> None:
    assert case.build([sure("x", None, "up"), *FOUR]).own().run() == 0
    assert _first_line(capsys) == "5 videos expected, 5 scored; 1 video without a label, not counted"
    assert list(tops(case.results / "val.json")) == ["x", "a", "b", "c", "d"]
    assert load(case.results / "accuracy.json")["video"]["top-1"]["total"] == 4


def test_a_subset_without_any_label(case: Case, capsys: pytest.CaptureFixture) -> None:
    assert case.build([sure("x", None, "up")]).own().run() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "top-1 accuracy: none, no video has a label"
    assert load(case.results / "accuracy.json")["video"]["top-1"]["value"] is None


def test_an_annotation_decides_truth_and_subset(case: Case, capsys: pytest.CaptureFixture) -> None:
    case.build(FOUR, skipped=GONE).own()
    truth = {
        "a": ("validation", "right"),
        "b": ("validation", "right"),
        "c": ("training", "up"),
        "d": ("training", "down"),
        "e": ("validation", "grow"),
        "g": ("validation", "left"),
    }
    path = annotation(case.root / "annotation.json", truth)
    assert case.run("--annotation-path", path) == 0
    assert _first_line(capsys).startswith("4 videos expected, 2 scored, 1 skipped (its segment")
    figures = load(case.results / "accuracy.json")
    assert (figures["video"]["top-1"]["hits"], figures["video"]["top-1"]["total"]) == (1, 4)
    assert [(item["id"], item["label"], item["kind"]) for item in figures["coverage"]["absent"]] == [
        ("e", "grow", "skipped"),
        ("g", "left", "missing"),
    ]
    assert list(tops(case.results / "val.json")) == ["a", "b", "c", "d"]
    assert case.run("--annotation-path", path, "--subset", "training") == 0
    assert load(case.results / "accuracy.json")["video"]["top-1"]["value"] == 1.0


def test_the_order_of_columns_is_the_cards(case: Case, tmp_path_factory: pytest.TempPathFactory) -> None:
    """UCF101 comes in two class orders: names decide, so an annotation in the other order changes nothing."""
    from clip2om.pipeline.cards import load as load_card

    labels = load_card("3d_resnet").labels()
    logits = np.zeros((1, 51), np.float32)
    logits[0, labels.index("punch")] = 5.0
    items = [Item("a", "punch", logits)]
    case.manifest = make_batches(case.batches, items, labels=labels[::-1], card="3d_resnet")
    write_all(case.scores, {"batch_00000.bin": np.repeat(logits, 4, axis=0)}, "{first}_0")
    assert case.run("--model", "3d_resnet") == 0
    assert tops(case.results / "val.json") == {"a": ["punch"]}


def test_worst_classes_and_verdict(case: Case, capsys: pytest.CaptureFixture) -> None:
    case.build([*FOUR, sure("e", "grow", "up")]).own()
    assert case.run("--min-accuracy", "0.6") == 0
    lines: List[str] = capsys.readouterr().out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("worst classes"))
    assert lines[start + 2].split()[:2] == ["grow", "0/1"]
    assert lines[start + 3].split()[:2] == ["left", "1/2"]
    assert lines[-1] == "top-1 accuracy: 0.6000 (3 of 5 videos), at least 0.6000 as asked"


def test_no_table_of_worst_classes_when_all_is_right(case: Case, capsys: pytest.CaptureFixture) -> None:
    assert case.build([FOUR[0], FOUR[2]]).own().run() == 0
    assert "worst" not in capsys.readouterr().out


def test_origin_is_recorded(case: Case) -> None:
    assert case.build(six_classes()).own().run() == 0
    origin = load(case.results / "accuracy.json")["origin"]
    assert origin["model_sha256"] == "d" * 64
    assert origin["fingerprint"] == case.manifest.fingerprint.digest
    assert (origin["engine"], origin["device"], origin["soc"], origin["precision"]) == (
        "openvino",
        "CPU",
        "cpu",
        "float32",
    )
    assert (origin["layout"], origin["format"], origin["subset"]) == ("packed", "BIN float32", "validation")
