"""Quantization with the real NNCF, and the commands of AMCT, which nothing here runs."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from clip2om.convert.calibration import read_calibration
from clip2om.pipeline.manifest import Manifest, write_manifest
from clip2om.pipeline.records import CompiledRecord, GraphRecord, read_record
from tests.command import refused as refused_process
from tests.command import stage
from tests.convert.conftest import Folders
from tests.convert.graphs import Graph, write_frozen, write_graph
from tests.convert.process import without
from tests.infer.cases import clips_of, write_batches


def write_calibration(folder: Path, graph: Graph, count: int = 40, batch: int = 4, **changes: Any) -> Manifest:
    """Write batches that say that they are of the training split, with ``changes`` to their manifest."""
    made = write_batches(folder, graph, clips_of(count, graph, seed=7), batch)
    videos = [replace(video, id=f"training {video.id}") for video in made.videos]
    manifest = replace(made, **{"subset": "training", "videos": videos, **changes})
    write_manifest(folder, manifest)
    return manifest


@pytest.fixture
def calibration(folders: Folders) -> Path:
    return folders.output.parent / "calibration"


def _int8(folders: Folders, calibration: Path, *more: object) -> int:
    return folders.convert("--precision", "int8", "--calibration", calibration, *more)


def _run(folder: Path, clips: np.ndarray) -> np.ndarray:
    import openvino

    return openvino.Core().compile_model(str(folder / "model.xml"), "CPU")(clips)["output"]


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize(("graph_batch", "batch"), [(-1, 3), (4, 4)])
def test_weights_become_integers_and_logits_stay_close(
    folders: Folders, calibration: Path, dtype: str, graph_batch: int, batch: int
) -> None:
    graph = Graph(graph_batch, dtype, width=16)
    write_graph(folders.graph, graph)
    write_calibration(calibration, graph)
    assert _int8(folders, calibration, "--batch", batch, "--calibration-clips", 40) == 0
    record = read_record(folders.output / "model.json", CompiledRecord, "")
    assert (record.format, record.precision, record.batch) == ("openvino", "int8", batch)
    assert record.tool.startswith("openvino ")
    assert ", nncf " in record.tool
    assert record.calibration is not None
    assert (record.calibration.subset, record.calibration.clips) == ("training", 40)
    xml = (folders.output / "model.xml").read_text()
    assert 'type="FakeQuantize"' in xml
    assert 'element_type="i8"' in xml
    clips = clips_of(batch, graph, seed=3)
    expected = graph.reference(clips)
    found = _run(folders.output, clips)
    assert 0 < np.abs(found - expected).max() < 0.1 * np.abs(expected).max()
    assert (found * expected).sum() / np.linalg.norm(found) / np.linalg.norm(expected) > 0.999


def test_items_of_several_clips_are_calibrated_as_items(folders: Folders, calibration: Path) -> None:
    graph = Graph(-1, "uint8", clips=2)
    write_graph(folders.graph, graph)
    write_calibration(calibration, graph, count=20, batch=4)
    assert _int8(folders, calibration, "--batch", 3, "--calibration-clips", 32) == 0
    record = read_record(folders.output / "model.json", CompiledRecord, "")
    assert record.calibration is not None
    assert record.calibration.clips == 32


def test_graph_with_one_batch_size_is_quantized_at_it(folders: Folders, calibration: Path) -> None:
    graph = Graph(4, "uint8", rigid=True)
    write_graph(folders.graph, graph)
    write_calibration(calibration, graph)
    assert _int8(folders, calibration, "--calibration-clips", 32) == 0
    assert "FakeQuantize" in (folders.output / "model.xml").read_text()


def test_same_clips_give_the_same_bytes_and_are_not_quantized_twice(
    folders: Folders, calibration: Path, capsys: pytest.CaptureFixture
) -> None:
    graph = Graph(-1, "uint8")
    write_graph(folders.graph, graph)
    write_calibration(calibration, graph)
    options = ("--batch", 2, "--calibration-clips", 32)
    given = ["--graph", folders.graph, "--output", folders.output, "--soc", "cpu", "--precision", "int8"]
    runs = []
    for _ in range(2):
        # In processes of their own: OpenVINO numbers the nodes of a process through, in the names too.
        done = stage("convert", *given, "--calibration", calibration, *options, "--force")
        assert done.returncode == 0, done.stderr
        runs.append({path.name: path.read_bytes() for path in folders.output.glob("model.*")})
    assert runs[0] == runs[1]
    assert _int8(folders, calibration, *options) == 0
    assert "up to date" in capsys.readouterr().err
    write_calibration(calibration, graph, count=48)
    assert _int8(folders, calibration, *options) == 0
    assert "up to date" not in capsys.readouterr().err


def test_clips_are_spread_evenly_over_the_folder(folders: Folders, calibration: Path) -> None:
    graph = Graph(4, "uint8")
    write_graph(folders.graph, graph)
    clips = clips_of(80, graph, seed=7)
    write_calibration(calibration, graph, count=80, batch=4)
    record = read_record(folders.graph / "model.json", GraphRecord, "")
    chosen = read_calibration(calibration, record, 40)
    assert [file * 4 + item for file, item in chosen.items] == list(range(0, 80, 2))
    for feed, number in zip(chosen.feeds(), range(0, 80, 2)):
        np.testing.assert_array_equal(feed, clips[number : number + 1])


@pytest.mark.parametrize(
    ("changes", "words", "message"),
    [
        ({"subset": "validation"}, (), "must not be judged by clips that it was calibrated with"),
        ({}, ("--calibration-clips", 31), "too few to calibrate with; use 32 or more"),
        ({}, ("--calibration-clips", 41), "holds 40 calibration clips, asked for were 41"),
        ({}, (), "asked for were 300"),
        ({}, ("--format", "onnx"), "onnx keeps the graph as it is"),
    ],
)
def test_clips_that_will_not_do(
    folders: Folders, calibration: Path, refused: Callable, changes: dict, words: tuple, message: str
) -> None:
    graph = Graph(4, "uint8")
    write_graph(folders.graph, graph)
    write_calibration(calibration, graph, **changes)
    refused(_int8(folders, calibration, *words), message)
    assert not (folders.output / "model.json").exists()


def test_no_clips_another_dtype_another_transform(folders: Folders, calibration: Path, refused: Callable) -> None:
    write_graph(folders.graph, Graph(4, "uint8"), transform_digest="1" * 64)
    refused(_int8(folders, calibration), "there are no calibration clips", "--subset training")
    write_calibration(calibration, Graph(4, "uint8"))
    refused(_int8(folders, calibration), "another transform")
    write_graph(folders.graph, Graph(4, "uint8"))
    write_calibration(calibration, Graph(4, "float32"))
    refused(_int8(folders, calibration), "the batches are float32")


def test_graph_with_two_inputs_is_refused(folders: Folders, calibration: Path, refused: Callable) -> None:
    write_frozen(folders.graph, Graph(-1, batch_accuracy=True))
    write_calibration(calibration, Graph(4))
    refused(_int8(folders, calibration, "--batch", 4), "takes 2 inputs, calibration clips feed one")


def test_changed_calibration_file_is_found(folders: Folders, calibration: Path, refused: Callable) -> None:
    graph = Graph(4, "uint8")
    write_graph(folders.graph, graph)
    write_calibration(calibration, graph)
    path = calibration / "batch_00003.bin"
    path.write_bytes(bytes(path.stat().st_size))
    refused(_int8(folders, calibration, "--calibration-clips", 32), "batch_00003.bin", "not the file")


def test_calibration_without_int8_is_refused(folders: Folders, calibration: Path, refused: Callable) -> None:
    write_graph(folders.graph)
    refused(folders.convert("--calibration", calibration), "is for --precision int8")


def test_without_nncf_the_command_that_installs_it_is_named(folders: Folders, calibration: Path) -> None:
    graph = Graph(4, "uint8")
    write_graph(folders.graph, graph)
    write_calibration(calibration, graph)
    given = ["--graph", folders.graph, "--output", folders.output, "--soc", "cpu", "--precision", "int8"]
    words = [*map(str, given), "--calibration", str(calibration), "--calibration-clips", "32"]
    refused_process(
        without("nncf", "convert", words), "nncf is not installed", "pip install -r requirements/quantize.txt"
    )


def test_commands_of_amct_for_an_npu_host(
    folders: Folders, calibration: Path, refused: Callable, capsys: pytest.CaptureFixture
) -> None:
    graph = Graph(4)
    write_graph(folders.graph, graph)
    write_calibration(calibration, graph, count=40)
    options = ("--soc", "Ascend310P3", "--calibration-clips", 32)
    refused(_int8(folders, calibration, *options), "AMCT quantizes", "--dry-run prints its commands")
    assert _int8(folders, calibration, *options, "--dry-run") == 0
    folder, links, amct, atc = (shlex.split(line) for line in capsys.readouterr().out.splitlines())
    assert folder[:2] == ["mkdir", "-p"]
    assert links[:2] == ["ln", "-sf"]
    assert [Path(name).name for name in links[2:-1]] == [f"batch_{n:05d}.bin" for n in (0, 1, 2, 3, 5, 6, 7, 8)]
    assert amct == [
        *("amct_onnx", "calibration", f"--model={folders.graph / 'model.onnx'}"),
        f"--save_path={folders.output / 'amct' / 'model'}",
        "--input_shape=input:4,3,4,8,8",
        f"--data_dir={folders.output / 'calibration'}",
        *("--data_types=float32", "--batch_num=8"),
    ]
    assert atc[:3] == ["atc", f"--model={folders.output / 'amct' / 'model_deploy_model.onnx'}", "--framework=5"]
    write_graph(folders.graph, Graph(-1))
    refused(_int8(folders, calibration, *options, "--dry-run", "--batch", 2), "holds batches of 4", "the model: 2")
    refused(_int8(folders, calibration, *options, "--dry-run", "--dynamic-batch", "1,4"), "several batch sizes")
