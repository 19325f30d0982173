"""The recipe's evaluation where the recipe itself divides by zero or fails on an index or a key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Callable

import pytest

from clip2om.postprocess.__main__ import main
from tests.postprocess.cases import annotation

ENTRIES = {"a": ("validation", "left"), "b": ("validation", "up"), "c": ("training", "left"), "d": ("testing", None)}


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    return annotation(tmp_path / "annotation.json", ENTRIES)


def _val(folder: Path, results: object) -> Path:
    path = folder / "val.json"
    path.write_text(json.dumps({"results": results}))
    return path


def _evaluate(truth: Path, val: Path, *more: str) -> int:
    return main(["evaluate", str(truth), str(val), *more])


def test_entries_are_ordered_by_score_and_equal_ones_keep_their_place(
    truth: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    a = [{"label": "up", "score": 0.1}, {"label": "left", "score": 0.6}]
    b = [{"label": "left", "score": 0.5}, {"label": "up", "score": 0.5}]
    val = _val(tmp_path, {"a": a, "b": b})
    assert _evaluate(truth, val) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "top-1 accuracy: 0.5"
    assert _evaluate(truth, val, "-k", "2") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "top-2 accuracy: 1.0"


def test_save_keeps_the_time_of_a_number_that_did_not_change(truth: Path, tmp_path: Path) -> None:
    val = _val(tmp_path, {"a": [{"label": "left", "score": 1.0}]})
    assert _evaluate(truth, val, "--save") == 0
    saved = tmp_path / "top1.txt"
    assert saved.read_text() == "0.5"
    before = saved.stat().st_mtime_ns
    assert _evaluate(truth, val, "--save") == 0
    assert saved.stat().st_mtime_ns == before


def test_the_short_subset_name(truth: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert _evaluate(truth, _val(tmp_path, {}), "--subset", "val") == 0
    assert "number of ground truth: 2" in capsys.readouterr().out


def test_nothing_in_the_subset(tmp_path: Path, fails: Callable[..., str]) -> None:
    truth = annotation(tmp_path / "annotation.json", {"a": ("training", "left")})
    fails(_evaluate(truth, _val(tmp_path, {})), "no video of subset 'validation'", "choose --subset from: training")


def test_nothing_left_to_count(truth: Path, tmp_path: Path, fails: Callable[..., str]) -> None:
    val = _val(tmp_path, {"c": [{"label": "left", "score": 1.0}]})
    fails(_evaluate(truth, val, "--ignore"), str(val), "no result of subset 'validation'", "--ignore leaves nothing")


def test_an_empty_result(truth: Path, tmp_path: Path, fails: Callable[..., str]) -> None:
    fails(_evaluate(truth, _val(tmp_path, {"a": []})), "result of video 'a' is empty")


def test_a_subset_without_labels(truth: Path, tmp_path: Path, fails: Callable[..., str]) -> None:
    fails(_evaluate(truth, _val(tmp_path, {}), "--subset", "test"), "video 'd' has no label", "--subset")


def test_a_label_of_another_list(truth: Path, tmp_path: Path, fails: Callable[..., str]) -> None:
    val = _val(tmp_path, {"a": [{"label": "hop", "score": 1.0}]})
    fails(_evaluate(truth, val), "label 'hop' of video 'a' is not in the annotation's 'labels'")


@pytest.mark.parametrize("results", [[], {"a": 3}, {"a": [{"label": "up"}]}, {"a": [{"label": [], "score": 1}]}])
def test_results_of_another_shape(truth: Path, tmp_path: Path, fails: Callable[..., str], results: object) -> None:
    fails(_evaluate(truth, _val(tmp_path, results)), "another shape", "'results'")


def test_no_val_json(truth: Path, tmp_path: Path, fails: Callable[..., str]) -> None:
    fails(_evaluate(truth, tmp_path / "val.json"), "no such file", "python -m postprocess")


@pytest.mark.parametrize("score", ["NaN", "Infinity", "-Infinity", '"0.5"', "true"])
def test_a_score_that_is_no_number_counts_for_nothing(tmp_path: Path, fails: Callable[..., str], score: str) -> None:
    annotation, results = tmp_path / "a.json", tmp_path / "val.json"
    entry = {"subset": "validation", "annotations": {"label": "x"}}
    annotation.write_text(json.dumps({"labels": ["x", "y"], "database": {"video_7": entry}}))
    results.write_text(f'{{"results": {{"video_7": [{{"label": "x", "score": {score}}}]}}}}')
    fails(main(["evaluate", str(annotation), str(results)]), "video_7", str(results))
