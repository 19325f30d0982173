"""Every message of the engines that run .om models, brought about on the simulated NPU: one line, exit 2."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from clip2om.pipeline.records import CompiledRecord, read_record, write_record
from clip2om.pipeline.tensor import TensorSpec
from tests.command import refused, stage
from tests.infer.cases import clips_of, record_again, write_batches
from tests.infer.npu import Npu


def _refused(npu: Npu, options: str, *words: str) -> str:
    """Check that a run is refused, that nothing was written and no rule broken."""
    line = refused(npu.infer(*options.split()), *words)
    assert npu.violations() == []
    assert npu.case.results() == {}
    assert not (npu.case.output / "summary.json").exists()
    return line


def _change(npu: Npu, **changes: object) -> None:
    record = read_record(npu.case.compiled / "model.json", CompiledRecord, "")
    write_record(npu.case.compiled / "model.json", replace(record, **changes))  # type: ignore[arg-type]


def test_host_without_cann(npu: Npu) -> None:
    npu.build()
    refused(
        stage("infer", *npu.case.argv()),
        *("format om", "acl, ais_bench or msame", "not installed here", "set_env.sh", "SOC=cpu"),
    )
    for engine, todo in (("acl", "set_env.sh"), ("ais_bench", "aclruntime"), ("msame", "build msame")):
        done = stage("infer", *npu.case.argv("--engine", engine))
        refused(done, f"the {engine} engine is not installed", f"--engine {engine}", todo)


def test_toolkit_without_driver(npu: Npu) -> None:
    npu.build().knobs.update(driver=False, ais_bench=None, msame=False)
    _refused(npu, "", "pyACL cannot be imported", "libascend_hal.so", "the driver is missing", "make doctor")


def test_user_who_may_not_open_the_device(npu: Npu) -> None:
    npu.build().knobs.update(permission=0)
    _refused(npu, "--engine acl", "acl.init failed with 507899", "HwHiAiUser")


def test_compiling_libraries_at_run_time(npu: Npu) -> None:
    npu.build()
    environment = npu.environment()
    environment["LD_LIBRARY_PATH"] = f"/opt/devlib:{environment['LD_LIBRARY_PATH']}"
    refused(stage("infer", *npu.case.argv(), env=environment), "acl.init failed with 100039", "LD_LIBRARY_PATH")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("another package of the name acl", "pip uninstall acl", "set_env.sh")),
        ("raise ImportError('libascendcl.so: cannot open shared object file')", ("libascendcl.so", "set_env.sh")),
        ("import no_such_thing", ("no_such_thing", "set_env.sh", "PYTHONPATH=DIR:$PYTHONPATH")),
    ],
    ids=["other package", "no library", "broken path"],
)
def test_acl_that_is_not_pyacl(npu: Npu, text: str, words: tuple) -> None:
    npu.build()
    module = npu.root / "shadow" / "acl.py"
    module.parent.mkdir()
    module.write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(module.parent)}
    refused(stage("infer", *npu.case.argv(), env=environment), *words)


def test_auto_goes_on_to_ais_bench_where_pyacl_cannot_be_imported(npu: Npu) -> None:
    module = npu.root / "shadow" / "acl.py"
    module.parent.mkdir()
    module.write_text("")
    npu.build()
    environment = npu.environment()
    environment["PYTHONPATH"] = f"{module.parent}:{environment['PYTHONPATH']}"
    done = stage("infer", *npu.case.argv(), env=environment)
    assert "warning: is another package of the name acl, not pyACL; trying ais_bench" in done.stderr


def test_model_of_another_soc(npu: Npu) -> None:
    npu.build().knobs.update(soc="Ascend310B4")
    _refused(
        npu, "--engine acl", "model.om: was compiled for Ascend310P3, this host has Ascend310B4", "--soc Ascend310B4"
    )
    for engine in ("ais_bench", "msame"):
        _refused(
            npu, f"--engine {engine}", f"{engine}.log", f"{engine} has not done its work", "this host has Ascend310B4"
        )


def test_record_with_another_soc_than_the_model(npu: Npu) -> None:
    npu.build().knobs.update(soc="Ascend310B4")
    _change(npu, soc="Ascend310B4")
    _refused(
        *(npu, "--engine acl", "acl.mdl.load_from_file_with_mem failed with 500002", "usually"),
        "model socVersion=Ascend310P3",
    )


def test_slice_of_the_chip_is_the_chip(npu: Npu) -> None:
    npu.build()
    _change(npu, soc="Ascend310P3Vir02")
    npu.passes("--engine", "acl")


def test_batch_size_that_the_model_does_not_have(npu: Npu) -> None:
    npu.build(batch=4)
    write_batches(npu.case.batches, npu.case.graph, npu.case.clips, 8)
    _refused(npu, "", "the batches hold 8 clips, the model was compiled for 4", "convert with --batch 8")
    npu.build(batch=4, gears=(2, 4))
    write_batches(npu.case.batches, npu.case.graph, npu.case.clips, 8)
    _refused(npu, "", "was compiled for batches of 2, 4, these hold 8", "preprocess with --batch 4", "--dynamic-batch")


def test_gears_other_than_the_recorded_ones(npu: Npu) -> None:
    npu.build(batch=4, gears=(2, 4))
    _change(npu, gears=(2, 4, 8), batch=8)
    _refused(npu, "--engine acl", "has the batch gears 2, 4, its record says 2, 4, 8", "convert again")


def test_model_other_than_its_record(npu: Npu) -> None:
    npu.build()
    _change(npu, outputs=[TensorSpec("output", "float16", (4, 5), "NC")])
    _refused(npu, "--engine acl", "output float32 4x5", "output float16 4x5", "convert again")
    _refused(npu, "--engine msame", "msame ended well", "result of batch_00000.bin it has 80 bytes, expected 40")


def test_input_of_another_dtype(npu: Npu) -> None:
    npu.build()
    graph = replace(npu.case.graph, dtype="uint8")
    write_batches(npu.case.batches, graph, clips_of(8, graph), 4)
    _refused(npu, "--engine acl", "the batches are uint8", "takes float32", "preprocess again with --dtype float32")
    _change(npu, inputs=[graph.input_spec.with_batch(4)])
    _refused(npu, "--engine acl", "input float32 4x3x4x8x8", "its record says input uint8 4x3x4x8x8", "convert again")


def test_devices_that_do_not_exist(npu: Npu) -> None:
    npu.build().knobs.update(devices=2)
    for devices in ("2", "0,2"):
        _refused(npu, f"--engine acl --devices {devices}", "there is no device 2", "this process sees 2 (0, 1)")
    _refused(npu, "--engine ais_bench --devices 0,2", "ais_bench.log", "exit code 1", "107001")
    _refused(npu, "--engine msame --devices 2", "msame.log", "msame has not done its work")


def test_device_that_is_taken(npu: Npu) -> None:
    npu.build().knobs.update(devices=2, devices_taken="1")
    for devices in ("1", "0,1"):
        _refused(
            npu, f"--engine acl --devices {devices}", "on device 1", "acl.rt.set_device failed with 207005", "taken"
        )


@pytest.mark.parametrize("engine", ["ais_bench", "msame"])
def test_tool_on_a_host_without_driver(npu: Npu, engine: str) -> None:
    npu.build().knobs.update(driver=False)
    _refused(npu, f"--engine {engine}", "libascend_hal.so", "the driver is missing", f"{engine}.log")


def test_msame_goes_on_after_a_failure_and_says_success(npu: Npu) -> None:
    npu.build().knobs.update(fail="task.execute:3:507015")
    _refused(npu, "--engine msame", "batch_00002.bin there is none", "execute model failed", "plog")
    assert "Execute sample success" in (npu.case.output / "msame.log").read_text()
    del npu.knobs["fail"]
    npu.passes("--engine", "msame")


def test_execution_that_fails_in_ais_bench(npu: Npu) -> None:
    npu.build().knobs.update(fail="task.execute:3:507015")
    line = _refused(npu, "--engine ais_bench", "exit code 1", "execute model failed, modelId is 1", "EZ9999", "plog")
    # There is no atc.log where a model runs.
    assert "atc.log" not in line


def test_device_memory_that_does_not_suffice(npu: Npu) -> None:
    npu.build(count=8).knobs.update(device_memory=60_000)
    line = _refused(npu, "--engine acl", "out of memory", "ACL says", "60000")
    assert "acl.rt.malloc failed with 207001" in line or "load_from_file_with_mem failed with 245000" in line


@pytest.mark.parametrize("part", [0, 1000])
def test_model_partly_written(npu: Npu, part: int) -> None:
    npu.build()
    path = npu.case.compiled / "model.om"
    path.write_bytes(path.read_bytes()[:part])
    _refused(npu, "", "model.om", "not the file that the model's record describes", "convert again")
    record_again(npu.case.compiled)
    _refused(npu, "--engine acl", "acl.mdl.query_size failed with 145", "model.om")
    for engine in ("ais_bench", "msame"):
        _refused(npu, f"--engine {engine}", f"{engine} has not done its work")


def test_another_kind_of_model(npu: Npu) -> None:
    npu.build()
    _refused(npu, "--engine openvino", "is a model of format om, the openvino engine runs openvino or onnx")
    _change(npu, format="openvino")
    _refused(npu, "--engine acl", "is a model of format openvino, the acl engine runs om", "--soc Ascend")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--engine acl --precision bf16", ("precision of an .om is chosen when it is compiled", "float16")),
        ("--engine ais_bench --streams 2", ("--streams", "one batch at a time", "--engine acl")),
        ("--engine msame --requests 2", ("--requests", "one batch at a time")),
        ("--engine msame --devices 0,1", ("msame runs on one device", "ais_bench")),
        ("--engine ais_bench --loop 2", ("--loop", "--engine acl")),
    ],
)
def test_options_that_an_engine_does_not_have(npu: Npu, options: str, words: tuple) -> None:
    _refused(npu.build(), options, *words)


@pytest.mark.parametrize("value", ["a", "0,0", "-1", "0,", ""])
def test_device_lists(npu: Npu, value: str) -> None:
    done = npu.infer("--devices", value)
    assert done.returncode == 2
    assert "different device numbers such as 0,1" in done.stderr


def test_devices_of_a_processor(case: object, npu: Npu) -> None:
    npu.case.build(form="onnx")
    _refused(
        npu, "--devices 0,1 --engine onnxruntime", "the onnxruntime engine runs on the processor", "leave --devices out"
    )


def test_msame_does_not_join_files(npu: Npu) -> None:
    npu.build(batch=1, layout="per-clip", model_batch=4)
    _refused(npu, "--engine msame", "does not join single-clip files into batches of 4", "--layout packed")


def test_paths_that_the_later_ais_bench_refuses(npu: Npu) -> None:
    npu.build()
    odd = npu.root / "with blank, 视频"
    odd.mkdir()
    npu.case.output = odd / "scores"
    _refused(npu, "--engine ais_bench", "' '", "'视'", str(npu.case.output), "another --output")
    npu.knobs["ais_bench"] = "G1"
    npu.passes("--engine", "ais_bench")
    npu.passes("--engine", "msame")


def test_ais_bench_that_cannot_be_started(npu: Npu) -> None:
    npu.build()
    module = npu.root / "shadow" / "ais_bench"
    module.mkdir(parents=True)
    (module / "__init__.py").write_text("")
    (module / "__main__.py").write_text("import tqdm_is_missing")
    environment = {**os.environ, "PYTHONPATH": str(module.parent)}
    done = stage("infer", *npu.case.argv("--engine", "ais_bench"), env=environment)
    refused(done, "ais_bench cannot be started", "pip install tqdm_is_missing")


def test_batch_changed_since_it_was_made(npu: Npu) -> None:
    npu.build()
    path = npu.case.batches / "batch_00002.bin"
    path.write_bytes(path.read_bytes()[::-1])
    _refused(npu, "--engine msame --verify", "batch_00002.bin", "SHA-256", "preprocess again")
    done = npu.infer("--engine", "acl", "--verify")
    refused(done, "batch_00002.bin", "SHA-256")
    assert npu.violations() == []


def test_files_of_somebody_else_stay(npu: Npu) -> None:
    npu.build()
    npu.case.output.mkdir()
    for name in ("000000_0.bin", "batch_00009_0.bin", "notes.txt"):
        (npu.case.output / name).write_text("mine")
    for engine in ("acl", "ais_bench", "msame"):
        npu.passes("--engine", engine)
        assert (npu.case.output / "batch_00009_0.bin").read_text() == "mine"
        assert (npu.case.output / "000000_0.bin").read_text() == "mine"
    assert len(npu.case.summary().files) == 5
