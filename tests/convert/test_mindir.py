"""MINDIR graphs, which convert keeps as they are for the engine of MindSpore: on the CPU and for an NPU."""

from __future__ import annotations

from typing import Callable

import pytest

from clip2om.convert.__main__ import main
from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.records import CompiledRecord, read_record
from tests.convert.conftest import Folders
from tests.convert.graphs import Graph, write_graph


def write_mindir(folders: Folders, batch: int = 4) -> None:
    """Write a graph folder whose file is bytes: convert copies it and reads nothing of it."""
    folders.graph.mkdir()
    file = folders.graph / "model.mindir"
    file.write_bytes(b"a graph of MindSpore")
    write_graph(folders.graph, Graph(batch), format="mindir", file=file.name, sha256=sha256_file(file), opset=0)


def convert(folders: Folders, soc: str, *more: object) -> int:
    given = ["--graph", folders.graph, "--output", folders.output, "--soc", soc, *more]
    return main([str(word) for word in given])


@pytest.mark.parametrize("soc", ["cpu", "Ascend310P3"])
@pytest.mark.parametrize(("graph_batch", "batch"), [(4, 4), (-1, 3)])
def test_the_file_is_kept_and_described(folders: Folders, soc: str, graph_batch: int, batch: int) -> None:
    write_mindir(folders, graph_batch)
    assert convert(folders, soc, "--batch", batch) == 0
    record = read_record(folders.output / "model.json", CompiledRecord, "")
    assert (record.format, record.soc, record.batch, record.tool) == ("mindir", soc, batch, "copy")
    assert record.files == {"model.mindir": sha256_file(folders.graph / "model.mindir")}
    assert record.inputs == [Graph(batch).input_spec] and record.atc_command == ""
    assert f"--soc {soc} --batch {batch} --format mindir" in record.command
    before = (folders.output / "model.json").stat().st_mtime_ns
    assert convert(folders, soc, "--batch", batch) == 0
    assert (folders.output / "model.json").stat().st_mtime_ns == before


def test_another_batch_than_the_graphs(folders: Folders, refused: Callable) -> None:
    write_mindir(folders)
    refused(folders.convert("--batch", 3), "fixed batch 4, asked for was 3", "export with --batch 3")


@pytest.mark.parametrize("form", ["openvino", "onnx"])
def test_format_that_is_not_made_from_it(folders: Folders, refused: Callable, form: str) -> None:
    write_mindir(folders)
    refused(folders.convert("--format", form), f"{form} is not made from a graph of format 'mindir'", "choose mindir")


def test_mindir_is_not_made_from_onnx(folders: Folders, refused: Callable) -> None:
    write_graph(folders.graph)
    refused(folders.convert("--format", "mindir"), "mindir is not made from a graph of format 'onnx'")


@pytest.mark.parametrize(
    "option",
    [["--dry-run"], ["--precision-mode", "force_fp16"], ["--atc-arg=--jit_compile=0"], ["--dynamic-batch", "1,4"]],
)
def test_options_of_atc_are_refused_for_an_npu_too(folders: Folders, refused: Callable, option: list) -> None:
    write_mindir(folders)
    refused(convert(folders, "Ascend310P3", *option), "does not read the mindir graph", "export --format onnx or air")


def test_quantization_is_refused(folders: Folders, refused: Callable) -> None:
    write_mindir(folders)
    refused(folders.convert("--precision", "int8"), "a MINDIR is kept as it is", "export --format onnx")
