"""What a run leaves: score files that equal NumPy's logits, and a summary that adds up."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Callable

import numpy as np
import pytest

from clip2om.infer.engines.openvino import check_precision
from clip2om.infer.job import load_job
from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.records import CompiledRecord, read_record, write_record
from tests.convert.graphs import Graph
from tests.infer.cases import FRAMES, Case

RUNS = [("openvino", "openvino"), ("onnx", "openvino"), ("onnx", "onnxruntime")]


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize(("form", "engine"), RUNS)
def test_scores_are_the_graphs_logits(case: Case, form: str, engine: str, dtype: str) -> None:
    case.build(Graph(4, dtype), form)
    assert case.infer("--engine", engine) == 0
    np.testing.assert_allclose(case.scores(), case.graph.reference(case.clips), rtol=1e-5, atol=1e-3)
    assert case.summary().engine == engine


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_graph_with_a_symbolic_batch_runs_at_the_compiled_one(case: Case, engine: str) -> None:
    case.build(Graph(-1), "onnx")
    assert case.infer("--engine", engine) == 0
    np.testing.assert_allclose(case.scores(), case.graph.reference(case.clips), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(("form", "engine"), RUNS)
def test_every_output_has_its_file(case: Case, form: str, engine: str) -> None:
    case.build(Graph(features=True), form, count=6)
    assert case.infer("--engine", engine) == 0
    names = ["batch_00000_0.bin", "batch_00000_1.bin", "batch_00001_0.bin", "batch_00001_1.bin"]
    assert sorted(case.results()) == names
    assert [(file.name, file.source, file.index) for file in case.summary().files] == [
        ("batch_00000_0.bin", "batch_00000.bin", 0),
        ("batch_00000_1.bin", "batch_00000.bin", 1),
        ("batch_00001_0.bin", "batch_00001.bin", 0),
        ("batch_00001_1.bin", "batch_00001.bin", 1),
    ]
    _, matrix, bias = case.graph.weights()
    np.testing.assert_allclose(case.scores(1) @ matrix.T + bias, case.scores(0), rtol=1e-5, atol=1e-3)


def test_summary_names_what_was_run(case: Case) -> None:
    case.build()
    assert case.infer() == 0
    summary = case.summary()
    assert (summary.engine, summary.device, summary.precision) == ("openvino", "CPU", "float32")
    assert (summary.card, summary.soc) == ("3d_resnet", "cpu")
    assert summary.manifest_sha256 == sha256_file(case.batches / "manifest.json")
    assert summary.fingerprint == case.manifest().fingerprint.digest
    assert summary.model_sha256 == load_job(case.compiled, case.batches).record.sha256
    assert summary.options["arithmetic"] == "f32"
    assert summary.options["requests"] >= 1
    assert summary.host["cores"] >= 1
    assert summary.host["versions"]["openvino"] == summary.engine_version
    for file in summary.files:
        assert hashlib.sha256((case.output / file.name).read_bytes()).hexdigest() == file.sha256


def test_other_weights_are_another_model(case: Case, tmp_path: Path) -> None:
    case.build(Graph(seed=1))
    other = Case(tmp_path / "other").build(Graph(seed=2))
    records = [load_job(one.compiled, one.batches).record for one in (case, other)]
    assert records[0].files["model.bin"] != records[1].files["model.bin"]
    assert records[0].sha256 != records[1].sha256


@pytest.mark.parametrize(("form", "engine"), RUNS)
def test_results_are_in_order_whatever_is_in_flight(case: Case, form: str, engine: str) -> None:
    case.build(form=form, count=160)
    expected = None
    for streams, requests in ((1, 1), (2, 2), (2, 5), (1, 4)):
        assert case.infer("--engine", engine, "--streams", streams, "--requests", requests, "--force") == 0
        summary = case.summary()
        assert (summary.options["requests"], summary.options["streams"]) == (requests, streams)
        expected = expected or case.results()
        assert case.results() == expected
    np.testing.assert_allclose(case.scores(), case.graph.reference(case.clips), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(("form", "engine"), RUNS)
def test_single_clip_files_share_executions(case: Case, form: str, engine: str) -> None:
    case.build(form=form, count=10, batch=1, layout="per-clip")
    assert case.infer("--engine", engine, "--verify") == 0
    assert len(case.results()) == 10
    assert {len(data) for data in case.results().values()} == {4 * 5}
    np.testing.assert_allclose(case.scores(), case.graph.reference(case.clips), rtol=1e-5, atol=1e-3)
    summary = case.summary()
    assert summary.throughput is not None
    assert (summary.throughput.batches, summary.throughput.clips, summary.throughput.padded_slots) == (3, 10, 2)
    assert summary.outputs[0].shape == (1, 5)


def test_single_clip_files_on_a_single_clip_model(case: Case) -> None:
    case.build(Graph(batch=1), count=3, batch=1, layout="per-clip")
    assert case.infer() == 0
    np.testing.assert_allclose(case.scores(), case.graph.reference(case.clips), rtol=1e-5, atol=1e-3)


def test_throughput_counts_what_was_done(case: Case, capsys: pytest.CaptureFixture) -> None:
    case.build(count=18)
    assert case.infer("--warmup", 3, "--requests", 2) == 0
    summary = case.summary()
    figures = summary.throughput
    assert figures is not None
    assert (figures.batches, figures.clips, figures.videos, figures.frames) == (5, 18, 6, 18 * FRAMES)
    assert (figures.padded_slots, figures.warmup_batches, figures.resumed_batches, figures.loops) == (2, 6, 0, 1)
    assert figures.warmup_s > 0
    assert 0 < figures.compute.seconds < figures.wall.seconds
    for rate in (figures.compute, figures.wall):
        counts = (rate.clips_per_s, rate.videos_per_s, rate.frames_per_s, rate.slots_per_s)
        np.testing.assert_allclose(np.array(counts) * rate.seconds, (18, 6, 72, 20), rtol=1e-2)
    assert figures.latency.count == len(summary.latency_ms) == 5
    assert figures.latency.max_ms == max(summary.latency_ms)
    assert figures.latency.p50_ms == pytest.approx(np.percentile(summary.latency_ms, 50), abs=1e-3)
    ends = np.array(summary.start_ms) + summary.latency_ms
    assert min(summary.start_ms) >= 0 and max(ends) <= 1000 * figures.wall.seconds + 0.1
    text = capsys.readouterr().out
    for word in ("compute: at least one batch on the device", "wall: first read to last write", "latency of 5 batches"):
        assert word in text
    assert "5 batches: 18 clips of 6 videos, 72 frames, 2 padded slots; warm-up: 6 batches" in text


def test_no_warm_up_on_request(case: Case, capsys: pytest.CaptureFixture) -> None:
    case.build()
    assert case.infer("--warmup", 0) == 0
    figures = case.summary().throughput
    assert figures is not None
    assert (figures.warmup_batches, figures.warmup_s) == (0, pytest.approx(0, abs=0.01))
    assert "warm-up" not in capsys.readouterr().out


def test_loop_measures_and_leaves_the_scores_alone(case: Case, capsys: pytest.CaptureFixture) -> None:
    from clip2om.pipeline.artifact import read_json

    case.build(count=18)
    assert case.infer("--loop", 3) == 0
    assert sorted(path.name for path in case.output.iterdir()) == [".lock", "benchmark.json"]
    assert case.infer() == 0
    before = case.state()
    assert case.infer("--loop", 4) == 0
    changed = {name for name, content in case.state().items() if content != before[name]}
    assert changed - {".lock"} == {"benchmark.json"}
    payload = read_json(case.output / "benchmark.json", "benchmark", 1, "")
    figures = payload["throughput"]
    assert (figures["loops"], figures["batches"], figures["clips"], figures["videos"]) == (4, 20, 72, 24)
    assert figures["latency"]["count"] == len(payload["latency_ms"]) == 20
    assert payload["engine"] == "openvino"
    assert "in 4 loops" in capsys.readouterr().out


def test_bf16_on_request(case: Case) -> None:
    import openvino

    case.build(Graph(width=64), count=8)
    able = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert case.infer("--precision", "bf16") == (0 if able else 2)
    if able:
        assert (case.summary().precision, case.summary().options["arithmetic"]) == ("bfloat16", "bf16")
        rough = case.scores()
        assert case.infer() == 0
        assert case.summary().precision == "float32"
        assert 0 < np.abs(case.scores() - rough).max() < 0.05 * np.abs(rough).max()


def test_processor_without_bf16_is_refused_and_told_what_to_do() -> None:
    check_precision("bf16", ["FP32", "BF16"])
    check_precision("f32", ["FP32"])
    with pytest.raises(RequestError, match=r"this processor cannot compute in bf16; use --precision f32$"):
        check_precision("bf16", ["FP32", "INT8"])


def test_precision_must_be_that_of_the_model(case: Case, refused: Callable) -> None:
    case.build()
    refused(case.infer("--precision", "int8"), "computes in float32", "convert with --precision int8")
    record = read_record(case.compiled / "model.json", CompiledRecord, "")
    write_record(case.compiled / "model.json", replace(record, precision="int8"))
    refused(case.infer("--precision", "bf16"), "computes in int8", "--precision int8, or leave it out")
    assert case.infer() == 0
    assert (case.summary().precision, case.summary().options["arithmetic"]) == ("int8", "f32")
    assert case.infer("--precision", "int8") == 0


def test_quiet_leaves_results_only(case: Case, capsys: pytest.CaptureFixture) -> None:
    case.build()
    assert case.infer("--quiet") == 0
    output = capsys.readouterr()
    # What is wrong is never kept quiet: this case's batches come with a list of classes, its model with none.
    assert [line for line in output.err.splitlines() if "infer: warning: nobody has said" not in line] == []
    assert "clips/s" in output.out
