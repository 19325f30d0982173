"""The three engines that run .om models, end to end on the simulated NPU: scores, figures, and no rule broken."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Tuple

import numpy as np
import pytest

from clip2om.pipeline.manifest import write_manifest
from clip2om.pipeline.tensor import DYNAMIC
from tests.convert.graphs import Graph
from tests.convert.process import run_code
from tests.infer.cases import record_again
from tests.infer.npu import Npu

ENGINES = ["acl", "ais_bench", "msame"]


@pytest.mark.parametrize("gears", [(), (2, 4, 8)], ids=["static", "dynamic"])
def test_all_engines_give_the_same_bytes_and_the_cpus_scores(npu: Npu, gears: Tuple[int, ...]) -> None:
    npu.build(Graph(DYNAMIC, "uint8", features=True), gears=gears)
    results = []
    for engine in ENGINES:
        npu.passes("--engine", engine)
        summary = npu.case.summary()
        assert (summary.engine, summary.device, summary.precision) == (engine, "Ascend310P3 device 0", "float16")
        assert [spec.shape for spec in summary.outputs] == [(4, 5), (4, 6)]
        assert summary.throughput is not None
        assert summary.throughput.resumed_batches == 0
        assert summary.throughput.device_compute is not None
        assert summary.throughput.device_compute.source == ("events" if engine == "acl" else engine)
        results.append(npu.case.results())
    assert len(results[0]) == 10
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize(
    ("generation", "devices", "layout"),
    [
        ("G0", "0", "per-clip"),
        ("G0", "1,0", "packed"),
        ("G1", "1,0", "per-clip"),
        ("G2", "0", "packed"),
        ("G2", "1,0", "packed"),
        ("G2", "1,0", "per-clip"),
    ],
)
def test_every_layout_that_ais_bench_had(npu: Npu, generation: str, devices: str, layout: str) -> None:
    npu.knobs.update(ais_bench=generation, devices=2)
    npu.build(count=18, batch=4 if layout == "packed" else 1, layout=layout, model_batch=4)
    npu.passes("--engine", "ais_bench", "--devices", devices)
    figures = npu.case.summary().throughput
    assert figures is not None and figures.device_compute is not None
    # Two devices make a padded batch each of their last single clips.
    assert figures.device_compute.batch.count in (5, 6)
    assert figures.wall_covers == "the tool's whole run, loading of the model included"
    assert not list(npu.case.output.glob(".staging-*"))
    # The tool says how long each batch took, and not when it began.
    assert npu.case.summary().latency_ms and not npu.case.summary().start_ms
    assert "Performance Summary" in (npu.case.output / "ais_bench.log").read_text()


@pytest.mark.parametrize("gears", [(), (4, 8)], ids=["static", "dynamic"])
def test_two_devices_share_the_batches(npu: Npu, gears: Tuple[int, ...]) -> None:
    npu.knobs.update(devices=2, compute_ms=5)
    npu.build(count=160, gears=gears)
    npu.passes("--engine", "acl")
    alone = npu.case.results()
    npu.passes("--engine", "acl", "--devices", "0,1", "--force")
    assert npu.case.results() == alone
    summary = npu.case.summary()
    assert summary.device == "Ascend310P3 device 0, 1"
    assert summary.options["devices"] == [0, 1]
    assert len(summary.latency_ms) == 40
    assert summary.throughput is not None and summary.throughput.device_compute is not None
    compute = summary.throughput.device_compute
    # 5 ms each; the mean, and with it 1000 * 4 / 5 on each of two devices, suffers where the host is busy.
    assert 4.9 < compute.batch.p50_ms < 7
    assert 0 < compute.slots_per_s <= 1600


def test_more_devices_than_batches(npu: Npu) -> None:
    npu.knobs.update(devices=3)
    npu.build(count=6).passes("--engine", "acl", "--devices", "0,1,2")
    assert npu.case.summary().options["devices"] == [0, 1]


def test_compute_time_is_that_of_the_device_alone(npu: Npu) -> None:
    npu.knobs.update(h2d_ms=4, compute_ms=10, d2h_ms=2)
    npu.build(count=80).passes("--engine", "acl")
    figures = npu.case.summary().throughput
    assert figures is not None and figures.device_compute is not None
    batch = figures.device_compute.batch
    assert (batch.count, figures.latency.count) == (20, 20)
    # The median, because a busy host may delay single ones.
    assert 9.9 < batch.p50_ms < 12
    assert figures.latency.mean_ms > 16
    assert figures.device_compute.slots_per_s == pytest.approx(1000 * 4 / batch.mean_ms, rel=1e-3)


def test_several_executions_at_a_time_have_no_time_of_their_own(npu: Npu) -> None:
    npu.build(count=40).passes("--engine", "acl", "--streams", 2)
    figures = npu.case.summary().throughput
    assert figures is not None
    assert figures.device_compute is None
    assert npu.case.summary().options["requests"] == 5


@pytest.mark.parametrize(
    ("streams", "more"), [(1, ()), (1, ("--requests", 1)), (2, ("--loop", 3)), (3, ("--warmup", 3, "--requests", 7))]
)
def test_never_more_executions_at_once_than_streams(npu: Npu, streams: int, more: tuple) -> None:
    """A drained pipeline (warm-up, a round of --loop) leaves events set that nobody waited for."""
    npu.knobs.update(compute_ms=2)
    done = npu.build(count=120).infer("--engine", "acl", "--streams", streams, *more)
    assert done.returncode == 0, done.stderr
    assert npu.violations() == [] == npu.stale_waits()
    assert npu.at_once() <= streams


@pytest.mark.parametrize("options", [("--requests", 1), ("--requests", 2, "--streams", 2), ("--warmup", 0)])
def test_slots_as_asked(npu: Npu, options: tuple) -> None:
    npu.build(count=40).passes("--engine", "acl", *options)


@pytest.mark.parametrize("knobs", [{"gear_first": 1}, {"gear_bytes": 8}, {"gear_first": 1, "gear_bytes": 8}])
def test_the_hidden_input_of_gears_stands_anywhere(npu: Npu, knobs: dict) -> None:
    npu.knobs.update(knobs)
    npu.build(gears=(2, 4, 8)).passes("--engine", "acl")


def test_cann_5_has_events_of_one_kind(npu: Npu) -> None:
    npu.knobs.update(old_events=1, timeouts=0, compute_ms=2)
    npu.build(count=80).passes("--engine", "acl")
    assert npu.at_once() == 1


def test_copies_memory_and_power_are_in_the_record(npu: Npu) -> None:
    npu.knobs.update(devices=2, soc="Ascend310P3", h2d_ms=4, compute_ms=10, d2h_ms=3, power="71.5")
    npu.build(count=80)
    done = npu.passes("--engine", "acl", "--devices", "1,0")
    summary = npu.case.summary()
    figures = summary.throughput
    assert figures is not None and figures.device_compute is not None
    compute = figures.device_compute
    assert compute.copy_in is not None and compute.copy_out is not None
    assert compute.copy_in.count == compute.copy_out.count == compute.batch.count == 20
    # Medians: a busy host delays single ones.
    assert compute.copy_in.p50_ms > 3.9 and compute.copy_out.p50_ms > 2.9 and compute.batch.p50_ms > 9.9
    assert compute.batch.p90_ms <= (compute.batch.p95_ms or 0) <= compute.batch.p99_ms
    assert set(summary.observed) == {"0", "1"}
    for seen in summary.observed.values():
        memory = seen["memory"]
        assert 0 < memory["used_bytes"] <= memory["most_bytes"] < memory["total_bytes"]
        assert memory["slope_bytes_per_batch"] == 0
        assert seen["power"]["mean_w"] == seen["power"]["most_w"] == 71.5
    for word in ("copy in (events)", "copy out (events)", "p95", "device 1: memory", "power 71.5 W"):
        assert word in done.stdout


@pytest.mark.parametrize("knob", [{"output_padding": 32}, {"run_mode": 0}], ids=["padded outputs", "on the chip"])
def test_devices_that_differ(npu: Npu, knob: dict) -> None:
    npu.knobs.update(knob)
    npu.build(Graph(DYNAMIC, features=True)).passes("--engine", "acl")


@pytest.mark.parametrize("engine", ["ais_bench", "msame"])
@pytest.mark.parametrize("knobs", [{}, {"output_padding": 32}], ids=["bare", "padded"])
@pytest.mark.parametrize(("batch", "gears"), [(4, ()), (4, (1, 2, 4, 8, 10)), (8, (1, 2, 4, 8, 10))])
def test_results_that_are_longer_than_the_batch(npu: Npu, engine: str, knobs: dict, batch: int, gears: tuple) -> None:
    """msame writes 5 rows for 4 of at most 10, 10 for 8, and the padding of the device."""
    npu.knobs.update(knobs)
    npu.build(Graph(DYNAMIC, features=True), batch=batch, gears=gears).passes("--engine", engine)


def test_files_beyond_what_a_folder_may_have_are_run_in_parts(npu: Npu, monkeypatch: pytest.MonkeyPatch) -> None:
    from clip2om.infer.engines.ais_bench import AisBenchEngine

    npu.knobs["most_files"] = 8
    monkeypatch.setattr(AisBenchEngine, "most_files", 8)
    npu.build(count=18, batch=1, layout="per-clip", model_batch=4)
    for name, value in npu.environment().items():
        monkeypatch.setenv(name, value)
    assert npu.case.infer("--engine", "ais_bench", "--quiet") == 0
    assert len(npu.case.results()) == 18
    assert npu.case.summary().options["runs"] == 3


def test_weights_are_loaded_once(npu: Npu) -> None:
    npu.build().passes("--engine", "acl", "--requests", 3)
    calls = (npu.root / "trace").read_text().split()
    assert calls.count("acl.mdl.load_from_file_with_mem") == 3
    # Weights, and one input and one output per slot.
    assert calls.count("acl.rt.malloc") == 7


def test_single_clip_files_are_joined(npu: Npu) -> None:
    npu.build(count=18, batch=1, layout="per-clip", model_batch=4).passes("--engine", "acl")
    assert len(npu.case.results()) == 18


@pytest.mark.parametrize("devices", ["0", "0,1"])
def test_loop_only_measures(npu: Npu, devices: str) -> None:
    npu.knobs.update(devices=2)
    npu.build()
    done = npu.infer("--engine", "acl", "--loop", 3, "--devices", devices)
    assert done.returncode == 0, done.stderr
    assert npu.violations() == []
    assert npu.case.results() == {}
    found = json.loads((npu.case.output / "benchmark.json").read_text())
    assert (found["throughput"]["batches"], found["throughput"]["device_compute"]["batch"]["count"]) == (15, 15)
    assert "1000 * batch / mean ms" in done.stdout


def test_auto_takes_pyacl_then_ais_bench_then_msame(npu: Npu) -> None:
    npu.build()
    for engine, installed in (
        ("acl", {}),
        ("ais_bench", {"toolkit": False, "driver": True}),
        ("msame", {"toolkit": False, "ais_bench": None}),
    ):
        npu.knobs = dict(installed)
        done = npu.infer("--force")
        assert f"engine {engine} " in done.stderr, done.stderr
        assert "auto: the model is of format om" in done.stderr
    assert "acl, ais_bench are not installed" in done.stderr


def test_record_says_what_ran_where(npu: Npu) -> None:
    npu.build().passes("--engine", "acl")
    summary = npu.case.summary()
    assert summary.engine_version == "8.0.0"
    assert summary.host["ascend"]["cann"]["version"] == "8.0.0"
    assert summary.options["streams"] == 1


def test_batches_that_others_may_write_are_copied_for_ais_bench(npu: Npu) -> None:
    npu.build()
    for path in (*npu.case.batches.iterdir(), *npu.case.compiled.iterdir()):
        path.chmod(0o666)
    npu.passes("--engine", "ais_bench", "--verify")


def test_batches_behind_a_link(npu: Npu) -> None:
    npu.build()
    real = npu.root / "real"
    npu.case.batches.rename(real)
    npu.case.batches.symlink_to(real)
    for path in real.glob("*.bin"):
        path.rename(path.with_suffix(".there"))
        path.symlink_to(path.with_suffix(".there"))
    npu.passes("--engine", "ais_bench")
    npu.passes("--engine", "msame")


def test_files_with_dots_in_their_names_do_not_collide(npu: Npu) -> None:
    npu.build()
    manifest = npu.case.manifest()
    for number, file in enumerate(list(manifest.files)):
        name = f"clip.{number}.bin"
        (npu.case.batches / file.name).rename(npu.case.batches / name)
        manifest.files[number] = replace(file, name=name)
    write_manifest(npu.case.batches, manifest)
    results = []
    for engine in ENGINES:
        npu.passes("--engine", engine)
        results.append({path.name: path.read_bytes() for path in npu.case.output.glob("clip.*.bin")})
    assert len(results[0]) == 5
    assert results[0] == results[1] == results[2]


def test_resume_gives_a_tool_only_what_is_missing(npu: Npu) -> None:
    npu.build(count=18).passes("--engine", "ais_bench")
    npu.case.change_batch(2)
    npu.passes("--engine", "ais_bench")
    figures = npu.case.summary().throughput
    assert figures is not None
    assert (figures.batches, figures.resumed_batches, figures.latency.count) == (1, 4, 1)


def test_batches_from_memory_run_too(npu: Npu) -> None:
    """What scripts that stream clips do: feeds that were not read into the engine's own memory."""
    npu.build(count=40)
    code = (
        "import sys, numpy as np\nfrom pathlib import Path\n"
        "from clip2om.infer.engines.base import Options\nfrom infer.engines.select import choose\n"
        "from clip2om.pipeline.records import CompiledRecord, read_record\n"
        f"folder = Path({str(npu.case.compiled)!r})\n"
        "record = read_record(folder / 'model.json', CompiledRecord, '')\n"
        "(choice, *_) = choose('acl', record, folder)\n"
        f"clips = np.load({str(npu.root / 'clips.npy')!r}).reshape(10, 4, 3, 4, 8, 8)\n"
        "with choice.engine(folder, record, Options()) as engine:\n"
        "    rows = [result.outputs[0] for result in engine.infer(iter(clips))]\n"
        f"np.save({str(npu.root / 'rows.npy')!r}, np.concatenate(rows))\n"
    )
    np.save(npu.root / "clips.npy", npu.case.clips)
    done = run_code(code, env=npu.environment())
    assert done.returncode == 0, done.stderr
    reference = npu.case.graph.reference(npu.case.clips)
    np.testing.assert_allclose(np.load(npu.root / "rows.npy"), reference, rtol=0, atol=1e-3 * np.abs(reference).max())
    assert npu.violations() == []


def test_model_with_a_record_made_again_is_another_model(npu: Npu) -> None:
    npu.build().passes("--engine", "acl")
    npu.build(Graph(DYNAMIC, seed=4))
    record_again(npu.case.compiled)
    npu.passes("--engine", "acl")
    figures = npu.case.summary().throughput
    assert figures is not None
    assert figures.resumed_batches == 0
