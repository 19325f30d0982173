"""Frozen TensorFlow graphs into OpenVINO IR, with the real OpenVINO and graphs written without TensorFlow."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Dict

import numpy as np
import pytest

from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.records import CompiledRecord, read_record, write_record
from clip2om.pipeline.tensor import TensorSpec
from tests import frozen_graph
from tests.convert.conftest import Folders
from tests.convert.graphs import CLASSES, LOGITS, Graph, write_frozen, write_graph
from tests.convert.process import without
from tests.convert.test_int8 import write_calibration


def _run(folders: Folders, feeds: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    import openvino

    core: Any = openvino.Core()
    compiled = core.compile_model(str(folders.output / "model.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled(feeds)
    return {port.get_any_name(): results[port] for port in compiled.outputs}


def _clips(graph: Graph, batch: int) -> np.ndarray:
    return np.random.RandomState(1).randint(0, 256, (batch, *graph.shape)).astype(graph.dtype)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize(("graph_batch", "batch"), [(4, 4), (-1, 3), (4, 7)])
def test_ir_has_the_record_s_names_and_the_graph_s_logits(
    folders: Folders, dtype: str, graph_batch: int, batch: int
) -> None:
    graph = Graph(graph_batch, dtype, input="batch_clips")
    write_frozen(folders.graph, graph)
    assert folders.convert("--batch", batch) == 0
    record = read_record(folders.output / "model.json", CompiledRecord, "")
    assert (record.format, record.batch, list(record.files)) == ("openvino", batch, ["model.xml", "model.bin"])
    assert record.inputs == [TensorSpec("batch_clips", dtype, (batch, 4, 8, 8, 3), "NTHWC")]
    assert record.outputs == [TensorSpec(LOGITS, "float32", (batch, CLASSES), "NC")]
    clips = _clips(graph, batch)
    found = _run(folders, {"batch_clips": np.ascontiguousarray(clips.transpose(0, 2, 3, 4, 1))})
    assert list(found) == [LOGITS]
    np.testing.assert_allclose(found[LOGITS], graph.reference(clips), rtol=1e-5, atol=1e-4)


def test_logits_stay_an_output_where_the_accuracy_reads_them(folders: Folders) -> None:
    graph = Graph(-1, batch_accuracy=True)
    write_frozen(folders.graph, graph)
    assert folders.convert("--batch", 4) == 0
    record = read_record(folders.output / "model.json", CompiledRecord, "")
    assert [str(spec) for spec in record.inputs] == ["input float32 4x4x8x8x3 NTHWC", "batch_labels int32 4x5 NC"]
    assert [(spec.name, spec.shape) for spec in record.outputs] == [(LOGITS, (4, 5)), ("output", ())]
    clips = _clips(graph, 4)
    logits = graph.reference(clips)
    labels = np.eye(CLASSES, dtype=np.int32)[logits.argmax(axis=1)]
    labels[0] = np.roll(labels[0], 1)
    found = _run(folders, {"input": np.ascontiguousarray(clips.transpose(0, 2, 3, 4, 1)), "batch_labels": labels})
    np.testing.assert_allclose(found[LOGITS], logits, rtol=1e-5, atol=1e-4)
    assert found["output"] == pytest.approx(0.75)


def test_batch_that_a_constant_forbids(folders: Folders, refused: Callable) -> None:
    write_frozen(folders.graph, Graph(4, constant_reshape=True))
    assert folders.convert("--batch", 4) == 0
    refused(folders.convert("--batch", 3), "model.pb", "batch 3", "export with --batch 3")


def test_names_of_the_record_that_the_graph_does_not_have(folders: Folders, refused: Callable) -> None:
    write_frozen(folders.graph, outputs=[TensorSpec("fc", "float32", (4, 5), "NC")])
    refused(folders.convert(), "model.pb", "the record names output 'fc'", "export it again")
    write_frozen(folders.graph, inputs=[TensorSpec("clips", "float32", (4, 4, 8, 8, 3), "NTHWC")])
    refused(folders.convert(), "model.pb", "export")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no graph at all", "OpenVINO cannot read it"),
        (b"", "OpenVINO cannot read it"),
        (
            frozen_graph.graph([frozen_graph.node("NoOp", "n")]),
            f"the record names output {LOGITS!r}, the graph has none",
        ),
        (frozen_graph.graph([frozen_graph.node("Nothing", LOGITS)]), "OpenVINO cannot read it"),
    ],
)
def test_damaged_graph_with_a_matching_record(folders: Folders, refused: Callable, content: bytes, words: str) -> None:
    record = write_frozen(folders.graph)
    path = folders.graph / "model.pb"
    path.write_bytes(content)
    write_record(folders.graph / "model.json", dataclasses.replace(record, sha256=sha256_file(path)))
    refused(folders.convert(), "model.pb", words, "export it again")


def test_without_openvino_nothing_runs_it_on_the_cpu(folders: Folders) -> None:
    write_frozen(folders.graph)
    arguments = ["--graph", str(folders.graph), "--output", str(folders.output), "--soc", "cpu"]
    done = without("openvino", "convert", arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "model.pb: only OpenVINO compiles it for the CPU, and that is not installed; pip install openvino" in line
    assert "--format onnx" not in line


def test_format_that_is_not_made_from_it(folders: Folders, refused: Callable) -> None:
    write_frozen(folders.graph)
    refused(folders.convert("--format", "onnx"), "onnx is not made from a graph of format 'pb'", "choose openvino")


def test_graph_that_only_an_npu_takes(folders: Folders, refused: Callable) -> None:
    write_graph(folders.graph, format="air")
    refused(folders.convert(), "format 'air'", "the CPU takes onnx, pb", "--soc Ascend310P3")


def test_int8_from_a_frozen_graph(folders: Folders) -> None:
    graph = Graph(4, "uint8", width=16)
    record = write_frozen(folders.graph, graph)
    # The same bytes, read in the graph's order of axes: any pixels will do to calibrate.
    write_calibration(folders.output.parent / "calibration", graph, tensor=record.inputs[0])
    arguments = ["--calibration", folders.output.parent / "calibration", "--calibration-clips", 40]
    assert folders.convert("--precision", "int8", *arguments) == 0
    assert read_record(folders.output / "model.json", CompiledRecord, "").precision == "int8"
    assert 'type="FakeQuantize"' in (folders.output / "model.xml").read_text()
    clips = _clips(graph, 4)
    expected = graph.reference(clips)
    found = _run(folders, {"input": np.ascontiguousarray(clips.transpose(0, 2, 3, 4, 1))})[LOGITS]
    assert 0 < np.abs(found - expected).max() < 0.1 * np.abs(expected).max()
