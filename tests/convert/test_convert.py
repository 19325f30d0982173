"""Graphs into compiled models, with the real OpenVINO and real files."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clip2om.convert.__main__ import main
from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.records import CompiledRecord, read_record
from tests.command import refused, stage
from tests.convert.conftest import Folders
from tests.convert.graphs import Graph, write_graph
from tests.convert.process import run_code, without


def _record(folder: Path) -> CompiledRecord:
    return read_record(folder / "model.json", CompiledRecord, "")


def _state(folder: Path) -> dict:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


def _run_ir(folder: Path, clips: np.ndarray) -> np.ndarray:
    import openvino

    core: Any = openvino.Core()
    compiled = core.compile_model(str(folder / "model.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(clips)["output"]


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize(("graph_batch", "batch"), [(4, 4), (-1, 3), (4, 7)])
def test_ir_gives_the_graphs_logits_at_the_batch_asked_for(
    folders: Folders, dtype: str, graph_batch: int, batch: int
) -> None:
    graph = Graph(graph_batch, dtype)
    write_graph(folders.graph, graph)
    assert folders.convert("--batch", batch) == 0
    record = _record(folders.output)
    assert (record.format, record.soc, record.batch, record.precision) == ("openvino", "cpu", batch, "float32")
    assert record.inputs == [graph.input_spec.with_batch(batch)]
    assert [(spec.name, spec.shape) for spec in record.outputs] == [("output", (batch, 5))]
    assert list(record.files) == ["model.xml", "model.bin"]
    assert all(sha256_file(folders.output / name) == digest for name, digest in record.files.items())
    clips = np.random.RandomState(1).randint(0, 256, (batch, *graph.shape)).astype(dtype)
    np.testing.assert_allclose(_run_ir(folders.output, clips), graph.reference(clips), rtol=1e-5, atol=1e-4)


def test_constant_batch_inside_the_graph_is_adapted_or_refused(folders: Folders) -> None:
    graph = Graph(constant_reshape=True)
    write_graph(folders.graph, graph)
    code = folders.convert("--batch", 3)
    assert code in (0, 2)
    if code == 0:
        clips = np.random.RandomState(1).rand(3, *graph.shape).astype(np.float32)
        np.testing.assert_allclose(_run_ir(folders.output, clips), graph.reference(clips), rtol=1e-5, atol=1e-4)


def test_weights_are_kept_in_float32(folders: Folders) -> None:
    import openvino

    graph = Graph()
    write_graph(folders.graph, graph)
    assert folders.convert() == 0
    model = openvino.Core().read_model(str(folders.output / "model.xml"))
    kinds = {node.get_element_type().get_type_name() for node in model.get_ops() if node.get_type_name() == "Constant"}
    assert "f32" in kinds
    assert "f16" not in kinds
    kernel, _, _ = graph.weights()
    assert kernel.tobytes() in (folders.output / "model.bin").read_bytes()


def test_default_batch_is_the_graphs_own_else_the_cards(folders: Folders, tmp_path: Path) -> None:
    write_graph(folders.graph, Graph(batch=4))
    assert folders.convert() == 0
    assert _record(folders.output).batch == 4
    symbolic = Folders(tmp_path / "symbolic")
    write_graph(symbolic.graph, Graph(batch=-1))
    assert symbolic.convert("--set", "input.batch=6") == 0
    assert _record(symbolic.output).batch == 6


def test_all_outputs_keep_their_names(folders: Folders) -> None:
    write_graph(folders.graph, Graph(features=True))
    assert folders.convert() == 0
    assert [spec.name for spec in _record(folders.output).outputs] == ["output", "features"]


@pytest.mark.parametrize("graph_batch", [4, -1])
def test_format_onnx_copies_the_graph(folders: Folders, graph_batch: int) -> None:
    write_graph(folders.graph, Graph(batch=graph_batch))
    assert folders.convert("--format", "onnx", "--batch", 4) == 0
    record = _record(folders.output)
    assert (record.format, record.files) == ("onnx", {"model.onnx": sha256_file(folders.graph / "model.onnx")})
    assert record.inputs[0].batch == 4
    assert (folders.output / "model.onnx").read_bytes() == (folders.graph / "model.onnx").read_bytes()


@pytest.mark.parametrize("form", ["openvino", "onnx"])
def test_second_run_touches_nothing_and_force_does(folders: Folders, form: str, capsys: pytest.CaptureFixture) -> None:
    write_graph(folders.graph)
    assert folders.convert("--format", form) == 0
    before = _state(folders.output)
    capsys.readouterr()
    assert folders.convert("--format", form) == 0
    assert "up to date" in capsys.readouterr().err
    assert _state(folders.output) == before
    assert folders.convert("--format", form, "--force") == 0
    assert _state(folders.output)["model.json"][0] > before["model.json"][0]


def test_check_for_being_up_to_date_does_not_import_openvino(folders: Folders) -> None:
    write_graph(folders.graph)
    assert folders.convert() == 0
    arguments = ["--graph", str(folders.graph), "--output", str(folders.output), "--soc", "cpu"]
    done = run_code(
        "import sys\nfrom convert.__main__ import main\n"
        f"assert main({arguments!r}) == 0\nassert 'openvino' not in sys.modules"
    )
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stderr


def _new_graph(folders: Folders) -> None:
    write_graph(folders.graph, Graph(seed=1))


def _damage(folders: Folders) -> None:
    path = folders.output / "model.bin"
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def _lose(folders: Folders) -> None:
    (folders.output / "model.bin").unlink()


@pytest.mark.parametrize("change", [_new_graph, _damage, _lose])
def test_changes_are_noticed(folders: Folders, change: Any) -> None:
    write_graph(folders.graph)
    assert folders.convert() == 0
    change(folders)
    assert folders.convert() == 0
    record = _record(folders.output)
    assert record.graph_sha256 == sha256_file(folders.graph / "model.onnx")
    assert all(sha256_file(folders.output / name) == digest for name, digest in record.files.items())


def test_another_batch_and_another_tool_version_compile_again(folders: Folders, capsys: pytest.CaptureFixture) -> None:
    write_graph(folders.graph)
    assert folders.convert() == 0
    assert folders.convert("--batch", 2) == 0
    assert _record(folders.output).batch == 2
    path = folders.output / "model.json"
    path.write_text(path.read_text().replace("openvino 20", "openvino 10"))
    capsys.readouterr()
    assert folders.convert("--batch", 2) == 0
    assert "up to date" not in capsys.readouterr().err
    assert "openvino 10" not in path.read_text()


def test_another_format_replaces_the_files_and_leaves_foreign_ones(folders: Folders) -> None:
    write_graph(folders.graph)
    assert folders.convert() == 0
    (folders.output / "notes.txt").write_text("mine")
    assert folders.convert("--format", "onnx") == 0
    assert sorted(path.name for path in folders.output.iterdir()) == [".lock", "model.json", "model.onnx", "notes.txt"]


def test_command_of_the_record_repeats_the_conversion(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    write_graph(folders.graph, Graph(batch=-1))
    options = ["--set", "input.batch=3", "--graph", "graph", "--soc", "auto", "--output", "compiled"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(options) == 0
    record = _record(folders.output)
    assert str(tmp_path) not in record.command
    python, flag, stage, *arguments = shlex.split(record.command)
    assert (python, flag, stage) == ("python", "-m", "convert")
    assert arguments[arguments.index("--soc") + 1] == "cpu"
    assert arguments[arguments.index("--format") + 1] == "openvino"
    before = record
    assert main([*arguments, "--force"]) == 0
    after = _record(folders.output)
    assert (after.command, after.batch, after.inputs) == (before.command, before.batch, before.inputs)


def test_failed_conversion_leaves_the_finished_model_whole(folders: Folders) -> None:
    write_graph(folders.graph)
    assert folders.convert() == 0
    before = _state(folders.output)
    write_graph(folders.graph, Graph(rigid=True))
    assert folders.convert("--batch", 3) == 2
    after = _state(folders.output)
    assert {name for name in after if name != ".lock"} == {name for name in before if name != ".lock"}
    assert all(after[name] == before[name] for name in before if name != ".lock")


def test_auto_falls_back_to_onnx_where_openvino_is_not_installed(folders: Folders) -> None:
    write_graph(folders.graph)
    arguments = ["--graph", str(folders.graph), "--output", str(folders.output), "--soc", "cpu"]
    done = without("openvino", "convert", arguments)
    assert done.returncode == 0, done.stderr
    assert "OpenVINO is not installed" in done.stderr
    assert _record(folders.output).format == "onnx"


@pytest.fixture
def broken_openvino(tmp_path: Path) -> dict:
    """An environment whose openvino is installed and cannot be imported, as a wheel for a newer system is."""
    package = tmp_path / "broken" / "openvino"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('version GLIBC_2.99 not found')")
    return {**os.environ, "PYTHONPATH": str(package.parent)}


def test_auto_falls_back_to_onnx_where_openvino_cannot_be_imported(folders: Folders, broken_openvino: dict) -> None:
    write_graph(folders.graph)
    arguments = ["--graph", folders.graph, "--output", folders.output, "--soc", "cpu"]
    done = stage("convert", *arguments, env=broken_openvino)
    assert done.returncode == 0, done.stderr
    assert "GLIBC_2.99" in done.stderr
    assert _record(folders.output).format == "onnx"
    before = _state(folders.output)
    again = stage("convert", *arguments, env=broken_openvino)
    assert "up to date" in again.stderr
    assert _state(folders.output)["model.onnx"] == before["model.onnx"]
    asked = stage("convert", *arguments, "--format", "openvino", "--force", env=broken_openvino)
    refused(asked, "cannot be imported", "GLIBC_2.99", "--format onnx")


@pytest.mark.skipif(sys.platform != "linux", reason="file size limits are set the POSIX way")
@pytest.mark.parametrize("form", ["openvino", "onnx"])
def test_disk_that_takes_no_more_leaves_nothing_behind(folders: Folders, form: str) -> None:
    import resource

    write_graph(folders.graph, Graph(width=64))
    done = stage(
        *["convert", "--graph", folders.graph, "--output", folders.output, "--soc", "cpu", "--format", form],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)),
    )
    refused(done, str(folders.output))
    assert [path.name for path in folders.output.iterdir()] == [".lock"]
