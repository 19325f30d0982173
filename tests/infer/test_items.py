"""Items of K clips: graphs of a 6-D input, through every engine, layout and batch size."""

from __future__ import annotations

import numpy as np
import pytest

from clip2om.pipeline.tensor import DYNAMIC
from tests.convert.graphs import Graph
from tests.infer.cases import Case
from tests.infer.npu import Npu
from tests.infer.test_scores import RUNS

K = 3


@pytest.mark.parametrize("average", [False, True], ids=["rows per clip", "averaged"])
@pytest.mark.parametrize(("form", "engine"), RUNS)
def test_scores_of_items(case: Case, form: str, engine: str, average: bool) -> None:
    case.build(Graph(4, clips=K, average=average), form, count=6)
    assert case.infer("--engine", engine, "--verify") == 0
    np.testing.assert_allclose(case.scores(), case.graph.reference(case.clips), rtol=1e-5, atol=1e-3)
    summary = case.summary()
    assert str(summary.outputs[0]) == ("output float32 4x5 NC" if average else "output float32 4x3x5 NKC")
    figures = summary.throughput
    assert figures is not None
    # Two files of 4 items, of which 2 are padding.
    assert (figures.batches, figures.clips, figures.videos, figures.frames) == (2, 18, 6, 72)
    assert figures.padded_slots == 2 * K


def test_the_bytes_are_those_of_a_graph_without_the_axis(case: Case, tmp_path: object) -> None:
    case.build(Graph(4, clips=K), "onnx", count=6)
    assert case.infer("--engine", "onnxruntime") == 0
    flat = case.graph.reference(case.clips).reshape(-1, 5)
    found = np.fromfile(case.output / "batch_00000_0.bin", "<f4").reshape(-1, 5)
    np.testing.assert_allclose(found, flat[: 4 * K], rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("average", [False, True], ids=["rows per clip", "averaged"])
def test_single_item_files_share_executions(case: Case, average: bool) -> None:
    case.build(Graph(4, clips=K, average=average), count=6, batch=1, layout="per-clip")
    assert case.infer() == 0
    np.testing.assert_allclose(case.scores(), case.graph.reference(case.clips), rtol=1e-5, atol=1e-3)
    summary = case.summary()
    assert {len(data) for data in case.results().values()} == {4 * 5 * (1 if average else K)}
    assert summary.outputs[0].shape == ((1, 5) if average else (1, K, 5))
    assert summary.throughput is not None
    assert (summary.throughput.batches, summary.throughput.clips, summary.throughput.padded_slots) == (2, 18, 6)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_symbolic_batch(case: Case, engine: str) -> None:
    case.build(Graph(DYNAMIC, clips=K), "onnx", count=5)
    assert case.infer("--engine", engine) == 0
    np.testing.assert_allclose(case.scores(), case.graph.reference(case.clips), rtol=1e-5, atol=1e-3)


def test_an_interrupted_run_goes_on(case: Case) -> None:
    case.build(Graph(2, clips=K), count=6, batch=2)
    assert case.infer() == 0
    expected = case.results()
    (case.output / "summary.json").unlink()
    (case.output / "batch_00001_0.bin").unlink()
    assert case.infer() == 0
    assert case.results() == expected
    assert case.summary().throughput.resumed_batches == 2  # type: ignore[union-attr]


def test_batches_of_single_clips_are_refused(case: Case, refused) -> None:  # type: ignore[no-untyped-def]
    case.build(Graph(4, clips=K), count=6)
    other = Case(case.output.parent / "other").build(Graph(4), count=6)
    refused(
        case.infer("--batches", other.batches),
        "the batches hold input float32 4x3x4x8x8 NCTHW, the model takes input float32 4x3x3x4x8x8 NKCTHW",
    )


@pytest.mark.parametrize("average", [False, True], ids=["rows per clip", "averaged"])
@pytest.mark.parametrize("gears", [(), (2, 4, 8)], ids=["static", "dynamic"])
def test_npu_engines(npu: Npu, gears: tuple, average: bool) -> None:
    npu.build(Graph(DYNAMIC, "uint8", clips=K, average=average), count=6, gears=gears)
    results = []
    for engine in ("acl", "ais_bench", "msame"):
        npu.passes("--engine", engine)
        results.append(npu.case.results())
        figures = npu.case.summary().throughput
        assert figures is not None and figures.device_compute is not None
        assert (figures.clips, figures.padded_slots, figures.device_compute.clips_per_item) == (18, 6, K)
    assert results[0] == results[1] == results[2]


def test_a_tool_joins_items_and_its_figure_counts_them(npu: Npu) -> None:
    npu.build(Graph(DYNAMIC, clips=K), count=6, batch=1, layout="per-clip", model_batch=4)
    done = npu.passes("--engine", "ais_bench")
    figures = npu.case.summary().throughput
    assert figures is not None and figures.device_compute is not None
    compute = figures.device_compute
    assert compute.slots_per_s == pytest.approx(1000 * 4 * K / compute.batch.mean_ms, rel=1e-3)
    assert compute.items_per_s == pytest.approx(1000 * 4 / compute.batch.mean_ms, rel=1e-3)
    assert f"device compute: {compute.items_per_s:.2f} items/s of 3 clips each = 1000 * batch / mean ms" in done.stdout
