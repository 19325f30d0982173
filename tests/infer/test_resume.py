"""Interrupted and repeated runs: what is kept, what is done again, and that the bytes are the same."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.manifest import write_manifest
from tests.command import ROOT, refused, stage
from tests.convert.graphs import Graph
from tests.convert.process import run_code
from tests.infer.cases import Case, record_again, write_batches, write_model

JOURNAL = ".progress.jsonl"


@pytest.fixture
def slow(case: Case) -> Case:
    """Enough work that a run takes a second or two."""
    return case.build(Graph(4, "uint8", (3, 8, 32, 32), width=64), count=640)


def _start(case: Case, done: int) -> subprocess.Popen:
    """Start a run and return when ``done`` batches are recorded."""
    command = [sys.executable, "-m", "infer", *case.argv()]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    journal = case.output / JOURNAL
    while not journal.is_file() or journal.read_text().count("\n") <= done:
        assert process.poll() is None, "the run ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return process


def _undisturbed(case: Case, root: Path) -> dict:
    other = Case(root / "undisturbed")
    other.compiled, other.batches, other.graph = case.compiled, case.batches, case.graph
    assert other.infer() == 0
    return other.results()


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_resumes_to_the_same_bytes(slow: Case, tmp_path: Path, kind: int) -> None:
    process = _start(slow, 5)
    process.send_signal(kind)
    _, text = process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if kind == signal.SIGKILL else 130)
    if kind != signal.SIGKILL:
        assert "interrupted; run the same command again to resume" in text
        assert "Traceback" not in text
        assert not list(slow.output.glob(".partial-*"))
    assert not (slow.output / "summary.json").exists()
    kept = {path.name: path.stat().st_mtime_ns for path in slow.output.glob("batch_*.bin")}
    assert 5 <= len(kept) < 160
    recorded = (slow.output / JOURNAL).read_text().count("\n") - 1
    assert slow.infer() == 0
    figures = slow.summary().throughput
    assert figures is not None
    assert (figures.resumed_batches, figures.batches) == (recorded, 160 - recorded)
    assert figures.clips == 4 * figures.batches
    assert figures.latency.count == figures.batches
    untouched = [name for name, mtime in kept.items() if (slow.output / name).stat().st_mtime_ns == mtime]
    assert len(untouched) == recorded
    assert slow.results() == _undisturbed(slow, tmp_path)


def test_finished_run_is_left_alone_and_the_engine_is_not_imported(case: Case) -> None:
    case.build()
    assert case.infer() == 0
    before = case.state()
    done = run_code(
        f"import sys\nfrom infer.__main__ import main\nassert main({case.argv()!r}) == 0\n"
        "assert 'openvino' not in sys.modules\nassert 'onnxruntime' not in sys.modules"
    )
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stderr
    assert case.state() == before


def test_only_changed_batches_run_again(case: Case) -> None:
    case.build(count=18)
    assert case.infer() == 0
    before = case.state()
    case.change_batch(2)
    assert case.infer() == 0
    changed = {name for name, content in case.state().items() if content != before[name]}
    assert changed - {".lock"} == {JOURNAL, "summary.json", "batch_00002_0.bin"}
    figures = case.summary().throughput
    assert figures is not None
    assert (figures.batches, figures.resumed_batches, figures.latency.count) == (1, 4, 1)
    np.testing.assert_allclose(case.scores(), case.graph.reference(case.clips), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("damage", ["edit", "delete"])
def test_damaged_results_are_made_again(case: Case, damage: str) -> None:
    case.build()
    assert case.infer() == 0
    before = case.results()
    path = case.output / "batch_00001_0.bin"
    path.write_bytes(bytes(len(path.read_bytes()))) if damage == "edit" else path.unlink()
    assert case.infer() == 0
    assert case.results() == before
    figures = case.summary().throughput
    assert figures is not None
    assert figures.batches == 1


def test_batches_that_only_moved_in_the_manifest_need_no_engine(case: Case, capsys: pytest.CaptureFixture) -> None:
    case.build()
    assert case.infer() == 0
    measured = case.summary().throughput
    write_manifest(case.batches, replace(case.manifest(), labels=["run", "walk"]))
    before = case.results()
    assert case.infer() == 0
    summary = case.summary()
    assert measured is not None
    assert summary.throughput == measured
    assert summary.manifest_sha256 == sha256_file(case.batches / "manifest.json")
    assert case.results() == before
    assert "every batch was kept from an earlier run; its figures follow" in capsys.readouterr().err


def test_batches_of_another_transform_are_warned_of(case: Case, capsys: pytest.CaptureFixture) -> None:
    case.build()
    path = case.compiled / "model.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "transform_digest": "1" * 64}))
    assert case.infer() == 0
    assert "another transform than the model's card has" in capsys.readouterr().err


def test_another_model_scores_everything_again(case: Case) -> None:
    case.build()
    assert case.infer() == 0
    before = case.results()
    case.graph = Graph(seed=5)
    write_model(case.compiled, case.graph)
    assert case.infer() == 0
    assert all(case.results()[name] != data for name, data in before.items())
    np.testing.assert_allclose(case.scores(), case.graph.reference(case.clips), rtol=1e-5, atol=1e-3)


def test_another_engine_scores_everything_again(case: Case) -> None:
    case.build(form="onnx")
    assert case.infer("--engine", "openvino") == 0
    assert case.infer("--engine", "onnxruntime") == 0
    summary = case.summary()
    assert summary.throughput is not None
    assert (summary.engine, summary.throughput.resumed_batches) == ("onnxruntime", 0)


def test_force_scores_everything_again(case: Case) -> None:
    case.build()
    assert case.infer() == 0
    before = case.state()["batch_00000_0.bin"]
    assert case.infer("--force") == 0
    after = case.state()["batch_00000_0.bin"]
    assert after[0] > before[0]
    assert after[1] == before[1]


def test_results_no_longer_asked_for_go_and_foreign_files_stay(case: Case) -> None:
    case.build(count=18)
    assert case.infer() == 0
    (case.output / "notes.txt").write_text("mine")
    (case.output / "batch_00007_0.bin").write_text("another tool's")
    write_batches(case.batches, case.graph, case.clips[:8], 4)
    for path in list(case.batches.glob("batch_0000[234].bin")):
        path.unlink()
    assert case.infer() == 0
    names = sorted(path.name for path in case.output.iterdir() if not path.name.startswith("."))
    expected = ["batch_00000_0.bin", "batch_00001_0.bin", "batch_00007_0.bin", "notes.txt", "summary.json"]
    assert names == expected
    assert [file.name for file in case.summary().files] == expected[:2]


def test_names_in_a_forged_record_delete_nothing_outside(case: Case, tmp_path: Path) -> None:
    case.build()
    assert case.infer() == 0
    victim = tmp_path / "victim.txt"
    victim.write_text("precious")
    for name in ("summary.json", JOURNAL):
        text = (case.output / name).read_text()
        (case.output / name).write_text(text.replace("batch_00001_0.bin", "../victim.txt"))
    assert case.infer() == 0
    assert victim.read_text() == "precious"


def test_failure_to_load_leaves_earlier_scores_whole(case: Case) -> None:
    case.build()
    assert case.infer() == 0
    before = case.state()
    (case.compiled / "model.xml").write_text("<net>")
    record_again(case.compiled)
    assert case.infer() == 2
    after = case.state()
    assert {name: after[name] for name in before if name != ".lock"} == {
        name: before[name] for name in before if name != ".lock"
    }


def test_disk_that_takes_no_more_then_space_again(case: Case) -> None:
    case.build(Graph(batch=40), count=160, batch=40)
    limit = 500
    done = stage("infer", *case.argv(), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    refused(done, "batch_00000_0.bin", "file too large")
    assert sorted(path.name for path in case.output.iterdir()) == [".lock", JOURNAL]
    assert case.infer() == 0
    np.testing.assert_allclose(case.scores(), case.graph.reference(case.clips), rtol=1e-5, atol=1e-3)
