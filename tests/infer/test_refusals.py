"""Every message of the infer stage, brought about for real."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest

from clip2om.infer.__main__ import main
from clip2om.pipeline.artifact import folder_lock
from clip2om.pipeline.manifest import write_manifest
from clip2om.pipeline.tensor import TensorSpec
from tests.command import refused as process_refused
from tests.command import stage
from tests.convert.graphs import Graph
from tests.convert.process import without
from tests.infer.cases import Case, clips_of, record_again, write_batches, write_model


def _feed(case: Case, graph: Graph, batch: int = 4) -> None:
    write_batches(case.batches, graph, clips_of(8, graph), batch)


def test_missing_model(case: Case, refused: Callable) -> None:
    case.build()
    (case.compiled / "model.json").unlink()
    refused(case.infer(), str(case.compiled), "no such file", "python -m convert")


def test_batches_without_a_manifest(case: Case, refused: Callable) -> None:
    case.build()
    (case.batches / "manifest.json").unlink()
    refused(case.infer(), str(case.batches), "no such file", "python -m preprocess")


def test_empty_manifest(case: Case, refused: Callable) -> None:
    case.build()
    write_manifest(case.batches, replace(case.manifest(), files=[], videos=[]))
    refused(case.infer(), str(case.batches), "no batches", "python -m preprocess")


def test_input_of_another_name(case: Case, refused: Callable) -> None:
    case.build()
    _feed(case, Graph(input="clip"))
    refused(case.infer(), "'clip'", "'input'")


def test_input_of_another_dtype(case: Case, refused: Callable) -> None:
    case.build(Graph(dtype="uint8"))
    _feed(case, Graph())
    refused(case.infer(), "float32", "uint8", "preprocess again with --dtype uint8")


def test_input_of_another_shape_and_the_same_size(case: Case, refused: Callable) -> None:
    case.build()
    _feed(case, Graph(shape=(3, 8, 4, 8)))
    refused(case.infer(), "4x3x8x4x8", "4x3x4x8x8", "same card")


@pytest.mark.parametrize("layout", ["packed", "per-video"])
def test_batch_of_another_size(case: Case, refused: Callable, layout: str) -> None:
    case.build()
    write_batches(case.batches, case.graph, case.clips, 8, layout)
    refused(case.infer(), "8 clips", "4", "convert with --batch 8")


def test_batch_file_partly_written(case: Case, refused: Callable) -> None:
    case.build()
    path = case.batches / "batch_00003.bin"
    path.write_bytes(path.read_bytes()[:1000])
    refused(case.infer(), "batch_00003.bin", "1000 bytes", "12288", "partly written", "python -m preprocess")
    assert not case.output.exists()


def test_batch_file_too_long(case: Case, refused: Callable) -> None:
    case.build()
    with open(case.batches / "batch_00001.bin", "ab") as stream:
        stream.write(b"x")
    refused(case.infer(), "batch_00001.bin", "12289 bytes", "longer than one tensor")


def test_batch_file_missing(case: Case, refused: Callable) -> None:
    case.build()
    (case.batches / "batch_00002.bin").unlink()
    refused(case.infer(), "batch_00002.bin", "no such file", "manifest")


def test_a_changed_batch_is_found_and_those_before_it_are_kept(case: Case, refused: Callable) -> None:
    case.build(count=160)
    path = case.batches / "batch_00030.bin"
    path.write_bytes(path.read_bytes()[::-1])
    refused(case.infer(), "batch_00030.bin", "SHA-256", "manifest", "preprocess again")
    assert not (case.output / "summary.json").exists()
    assert 0 < len(case.results()) <= 30
    assert case.infer("--no-verify") == 0
    refused(case.infer(), "batch_00030.bin", "SHA-256", "manifest", "preprocess again")


def test_model_files_that_are_not_the_recorded_ones(case: Case, refused: Callable) -> None:
    case.build()
    with open(case.compiled / "model.bin", "ab") as stream:
        stream.write(b"x")
    refused(case.infer(), "model.bin", "not the file", "convert again")
    (case.compiled / "model.bin").unlink()
    refused(case.infer(), "model.bin", "no such file", "python -m convert")


@pytest.mark.parametrize(
    ("form", "file"), [("openvino", "model.xml"), ("openvino", "model.bin"), ("onnx", "model.onnx")]
)
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_model_that_the_engine_cannot_load(case: Case, form: str, file: str, engine: str) -> None:
    if (form, engine) == ("openvino", "onnxruntime"):
        return
    case.build(form=form)
    path = case.compiled / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    record_again(case.compiled)
    done = stage("infer", *case.argv("--engine", engine))
    process_refused(done, f"{engine} cannot load it", (form == "onnx" and "model.onnx") or "model.xml", "convert again")
    assert not case.results()


def test_model_other_than_its_record(case: Case, refused: Callable) -> None:
    case.build()
    outputs = [TensorSpec("output", "float32", (4, 9), "NC")]
    write_model(case.compiled, case.graph, outputs=outputs)
    refused(case.infer(), "output float32 4x5 NC", "output float32 4x9 NC", "convert again")


def test_model_without_files(case: Case, refused: Callable) -> None:
    case.build()
    write_model(case.compiled, case.graph, files={})
    refused(case.infer(), str(case.compiled), "names no model file", "python -m convert")


def test_model_with_two_inputs(case: Case, refused: Callable) -> None:
    case.build()
    write_model(case.compiled, case.graph, inputs=[case.graph.input_spec] * 2)
    refused(case.infer(), "2 inputs", "a graph of two pathways: cut the slow one from the fast one inside the graph")


def test_single_clip_files_and_an_output_that_cannot_be_shared_out(case: Case, refused: Callable) -> None:
    case.build(batch=1, layout="per-clip")
    write_model(case.compiled, case.graph, outputs=[TensorSpec("output", "float32", (1, 20), "NC")])
    refused(case.infer(), "output float32 1x20", "4 single-clip files", "--layout packed")


def test_engine_that_cannot_run_the_format(case: Case, refused: Callable) -> None:
    case.build()
    refused(case.infer("--engine", "onnxruntime"), "format openvino", "onnxruntime", "--format onnx")


def test_format_that_no_engine_runs(case: Case, refused: Callable) -> None:
    case.build()
    write_model(case.compiled, case.graph, form="onnx", format="tflite")
    refused(case.infer(), "format tflite", "no engine of this release")


def test_engine_that_does_not_exist(case: Case, refused: Callable) -> None:
    case.build()
    refused(case.infer("--engine", "tensorrt"), "'tensorrt'", "auto, openvino, onnxruntime")


def test_ir_on_a_host_without_openvino(case: Case) -> None:
    case.build()
    done = without("openvino", "infer", case.argv())
    process_refused(done, str(case.compiled), "openvino", "not installed", "python -m convert --format onnx")
    asked = without("openvino", "infer", case.argv("--engine", "openvino"))
    process_refused(asked, "the openvino engine is not installed", "pip install openvino")


def test_auto_takes_onnx_runtime_where_openvino_is_not_installed(case: Case) -> None:
    case.build(form="onnx")
    done = without("openvino", "infer", case.argv())
    assert done.returncode == 0, done.stderr
    assert "engine onnxruntime" in done.stderr
    assert "openvino is not installed" in done.stderr
    assert case.summary().engine == "onnxruntime"


def test_auto_takes_onnx_runtime_where_openvino_cannot_be_imported(case: Case, tmp_path: Path) -> None:
    package = tmp_path / "broken" / "openvino"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('version GLIBC_2.99 not found')")
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    case.build(form="onnx")
    done = stage("infer", *case.argv(), env=environment)
    assert done.returncode == 0, done.stderr
    assert "GLIBC_2.99" in done.stderr
    assert case.summary().engine == "onnxruntime"
    asked = stage("infer", *case.argv("--engine", "openvino"), env=environment)
    process_refused(asked, "cannot be imported", "GLIBC_2.99")


def test_precision_that_the_engine_does_not_have(case: Case, refused: Callable) -> None:
    case.build(form="onnx")
    refused(case.infer("--engine", "onnxruntime", "--precision", "bf16"), "f32", "bf16", "--precision")


def test_scores_into_the_batch_folder(case: Case, refused: Callable) -> None:
    case.build()
    refused(main([*case.argv()[:4], "--output", str(case.batches)]), str(case.batches), "another --output")


def test_folder_in_use(case: Case, refused: Callable) -> None:
    case.build()
    with folder_lock(case.output):
        refused(case.infer(), str(case.output), "another run is writing here")
        refused(case.infer("--loop", 1), str(case.output), "another run is writing here")


def test_soc_of_the_default_folders(case: Case, refused: Callable) -> None:
    refused(main(["--soc", "Ascend31OP3"]), "'Ascend31OP3'", "Ascend310P3")


def test_default_folders_come_from_card_soc_and_batch(tmp_path: Path, refused: Callable) -> None:
    card = tmp_path / "unheard_of.toml"
    card.write_text((Path(__file__).parents[2] / "models" / "3d_resnet.toml").read_text())
    refused(main(["--model", str(card), "--soc", "cpu", "--batch", "3"]), "build/unheard_of/compiled/cpu-b3/model.json")
    refused(main(["--model", str(card), "--soc", "cpu"]), "build/unheard_of/compiled/cpu-b10/model.json")


def test_batches_of_another_card_are_pointed_out(case: Case, capsys: pytest.CaptureFixture) -> None:
    case.build()
    write_manifest(case.batches, replace(case.manifest(), card="c3d_tf"))
    assert case.infer() == 0
    assert "warning: the batches were made with card c3d_tf, the model with 3d_resnet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--streams", "0"), ("--requests", "x"), ("--warmup", "-1"), ("--loop", "0"), ("--precision", "f16")],
)
def test_options_of_the_wrong_kind(case: Case, capsys: pytest.CaptureFixture, option: str, value: Any) -> None:
    with pytest.raises(SystemExit) as end:
        main(case.argv(option, value))
    assert end.value.code == 2
    assert option in capsys.readouterr().err
