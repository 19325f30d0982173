"""scores.npz: everything that a metric needs, without pickle, and the same bytes for the same scores."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Callable

import numpy as np
import pytest

from clip2om.pipeline.manifest import Skipped
from clip2om.postprocess.__main__ import main
from tests.postprocess.cases import CARD, annotation, load, six_classes, tops
from tests.postprocess.conftest import Case

NAMES = ["a", "b", "c", "视频", "e"]


@pytest.fixture
def done(case: Case) -> Case:
    case.build(six_classes(NAMES), skipped=[Skipped("s", "up", "it is not on disk")]).own()
    assert case.run() == 0
    return case


def test_members(done: Case) -> None:
    with np.load(done.results / "scores.npz", allow_pickle=False) as stored:
        assert stored["logits"].dtype == np.float32
        np.testing.assert_array_equal(stored["logits"], np.concatenate([v.logits for v in six_classes(NAMES)]))
        assert stored["clip_video"].tolist() == [0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4]
        assert stored["video_ids"].tolist() == NAMES
        assert stored["truth"].tolist() == [0, 1, 2, 3, 4]
        assert stored["counted"].all()
        assert stored["labels"].tolist() == ["left", "right", "up", "down", "grow", "shrink"]
        about = json.loads(bytes(stored["about"]))
    assert about["absent"] == [{"id": "s", "label": "up", "kind": "skipped", "reason": "it is not on disk"}]


@pytest.mark.parametrize("more", [["-k", "5"], ["-k", "2", "--ignore"], ["--max-clips", "1"], ["--activation", "none"]])
def test_figures_computed_again_are_those_of_the_score_folder(done: Case, tmp_path: Path, more: "list[str]") -> None:
    assert done.run(*more) == 0
    again = tmp_path / "again"
    stored = done.root / "kept.npz"
    stored.write_bytes((done.results / "scores.npz").read_bytes())
    assert main(["--from-scores", str(stored), "--output", str(again), *more]) == 0
    for name in ("val.json", "accuracy.json"):
        assert (again / name).read_bytes() == (done.results / name).read_bytes()
    assert sorted(path.name for path in again.iterdir()) == ["accuracy.json", "val.json"]


def test_results_go_beside_the_archive_by_default(done: Case) -> None:
    before = (done.results / "scores.npz").stat().st_mtime_ns
    assert main(["--from-scores", str(done.results / "scores.npz"), "-k", "3"]) == 0
    assert [len(labels) for labels in tops(done.results / "val.json").values()] == [3] * 5
    assert (done.results / "scores.npz").stat().st_mtime_ns == before


def test_another_ground_truth(done: Case, tmp_path: Path) -> None:
    path = annotation(tmp_path / "annotation.json", {"a": ("training", "up"), "s": ("training", "left")})
    args = ["--from-scores", done.results / "scores.npz", "--output", tmp_path / "again"]
    assert main([str(arg) for arg in [*args, "--annotation-path", path, "--subset", "train"]]) == 0
    coverage = load(tmp_path / "again" / "accuracy.json")["coverage"]
    assert (coverage["expected"], coverage["scored"], coverage["skipped"], coverage["outside"]) == (2, 1, 1, 4)


def test_unchanged_inputs_leave_the_files_alone(done: Case, capsys: pytest.CaptureFixture) -> None:
    before = {path: path.stat().st_mtime_ns for path in done.results.iterdir()}
    assert len(before) == 3
    capsys.readouterr()
    assert done.run() == 0
    assert "holds these results already" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in done.results.iterdir()} == before
    assert done.run("-k", 2) == 0
    changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {"val.json", "accuracy.json"}


def test_members_carry_no_time(done: Case) -> None:
    with zipfile.ZipFile(done.results / "scores.npz") as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def _archive(path: Path, **members: object) -> Path:
    np.savez(path, **{name: np.asarray(value) for name, value in members.items()})
    return path


def test_malformed_archives(done: Case, tmp_path: Path, fails: Callable[..., str]) -> None:
    path = tmp_path / "other.npz"
    args = ["--model", CARD, "--from-scores", str(path)]
    fails(main(args), "no such file", "run python -m postprocess on the score folder")
    path.write_bytes(b"PK no archive")
    fails(main(args), str(path), "is not an archive of scores")
    np.save(tmp_path / "plain.npy", np.zeros(3))
    path.write_bytes((tmp_path / "plain.npy").read_bytes())
    fails(main(args), str(path), "is not an archive of scores")
    _archive(path, logits=np.zeros((1, 2)))
    fails(main(args), str(path), "is not an archive of scores", "clip_video")


def test_an_archive_of_another_version(done: Case, fails: Callable[..., str]) -> None:
    path = done.results / "scores.npz"
    with np.load(path) as stored:
        members = dict(stored)
    about = {**json.loads(bytes(members["about"])), "version": 9}
    members["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **members)
    path.write_bytes(buffer.getvalue())
    fails(main(["--from-scores", str(path)]), "format version 9, this release reads 1")


def test_scores_that_are_no_numbers_are_named(done: Case, fails: Callable[..., str]) -> None:
    path = done.results / "scores.npz"
    with np.load(path) as archive:
        members = dict(archive)
    members["logits"][0, 0] = np.nan
    np.savez(path, **members)
    fails(main(["--from-scores", str(path)]), str(path), repr(str(members["video_ids"][0])), "NaN or infinite")
