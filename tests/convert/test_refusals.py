"""Every message of the convert stage, brought about for real."""

from __future__ import annotations

from typing import Callable

import pytest

from clip2om.convert.__main__ import main
from clip2om.pipeline.artifact import folder_lock, sha256_file
from tests.convert.conftest import Folders
from tests.convert.graphs import Graph, write_graph
from tests.convert.process import without


def test_missing_graph(folders: Folders, refused: Callable) -> None:
    refused(folders.convert(), str(folders.graph / "model.json"), "no such file", "python -m export")


def test_record_without_its_file(folders: Folders, refused: Callable) -> None:
    write_graph(folders.graph)
    (folders.graph / "model.onnx").unlink()
    refused(folders.convert(), "model.onnx", "no such file", "python -m export")


def test_graph_that_is_not_the_recorded_one(folders: Folders, refused: Callable) -> None:
    write_graph(folders.graph)
    with open(folders.graph / "model.onnx", "ab") as stream:
        stream.write(b"x")
    refused(folders.convert(), "model.onnx", "SHA-256", "export it again")


def test_graph_of_another_card(folders: Folders, refused: Callable) -> None:
    write_graph(folders.graph)
    refused(folders.convert("--model", "3d_resnet_demo"), "'3d_resnet'", "'3d_resnet_demo'", "--model 3d_resnet")


def test_graph_without_inputs(folders: Folders, refused: Callable) -> None:
    write_graph(folders.graph, inputs=[])
    refused(folders.convert(), str(folders.graph), "names no input", "python -m export")


def test_damaged_graph_with_a_matching_record(folders: Folders, refused: Callable) -> None:
    write_graph(folders.graph)
    path = folders.graph / "model.onnx"
    path.write_bytes(path.read_bytes()[:100])
    record = (folders.graph / "model.json").read_text()
    digest = record.split('"sha256": "')[1][:64]
    (folders.graph / "model.json").write_text(record.replace(digest, sha256_file(path)))
    refused(folders.convert(), "model.onnx", "OpenVINO cannot read it", "export it again")


def test_batch_that_a_fixed_graph_cannot_have(folders: Folders, refused: Callable) -> None:
    write_graph(folders.graph, Graph(rigid=True))
    assert folders.convert("--batch", 4) == 0
    refused(folders.convert("--batch", 3), "model.onnx", "batch 3", "export with --batch 3")


def test_batch_that_a_copied_graph_does_not_have(folders: Folders, refused: Callable) -> None:
    write_graph(folders.graph)
    refused(folders.convert("--format", "onnx", "--batch", 3), "fixed batch 4", "3", "--batch 4")


def test_graph_whose_tensors_are_not_the_recorded_ones(folders: Folders, refused: Callable) -> None:
    write_graph(folders.graph, Graph(), outputs=[Graph(features=True).output_specs[1]])
    refused(folders.convert(), "output float32 (4, 5)", "features float32 4x6 NC")


def test_graph_with_fewer_tensors_than_recorded(folders: Folders, refused: Callable) -> None:
    write_graph(folders.graph, Graph(), outputs=Graph(features=True).output_specs)
    refused(folders.convert(), "1 tensors where the record has 2")


def test_openvino_asked_for_and_not_installed(folders: Folders) -> None:
    write_graph(folders.graph)
    arguments = ["--graph", str(folders.graph), "--output", str(folders.output), "--soc=cpu", "--format=openvino"]
    done = without("openvino", "convert", arguments)
    assert done.returncode == 2
    assert "OpenVINO is not installed" in done.stderr
    assert "--format onnx" in done.stderr


def test_folder_in_use(folders: Folders, refused: Callable) -> None:
    write_graph(folders.graph)
    with folder_lock(folders.output):
        refused(folders.convert(), str(folders.output), "another run is writing here")


@pytest.mark.parametrize("value", ["0", "-1", "ten"])
def test_batch_that_is_no_count(value: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--batch", value])
    assert end.value.code == 2
    assert f"{value!r} is not an integer of 1 or more" in capsys.readouterr().err
