"""Graphs of the small C3D: operators, interface, numbers, and what the command shows."""

from collections import Counter

import numpy as np
import onnx
import pytest

from clip2om.export import onnx_graph, parity
from clip2om.export.paddle.exporter import export_graph, load_network
from clip2om.export.request import ExportRequest
from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import ShortfallError
from clip2om.pipeline.tensor import DYNAMIC
from tests.command import refused, stage
from tests.export.paddle import small

C3D = {"Conv": 8, "Relu": 10, "MaxPool": 5}
STATIC = {**C3D, "Reshape": 1, "Gemm": 3}
OPEN = {**C3D, "Reshape": 1, "MatMul": 3, "Add": 3}
FORMS = {
    "single": (small.SINGLE, {}),
    "softmax": ((*small.SINGLE, "export.softmax=true"), {"Softmax": 1}),
    "several": (small.SEVERAL, {"Reshape": 3}),
    "averaged": (small.AVERAGED, {"Reshape": 3, "ReduceMean": 1}),
    "probabilities": ((*small.AVERAGED, "export.softmax=true"), {"Reshape": 3, "ReduceMean": 1, "Softmax": 1}),
}


def request(checkpoint, output, *overrides, batch=2, dtype="float32", opset=11, max_diff=1e-4):
    card = small.card(*overrides)
    return ExportRequest(card, checkpoint, sha256_file(checkpoint), output, "onnx", batch, dtype, opset, max_diff)


def exported(*args, **options):
    asked = request(*args, **options)
    record = export_graph(asked, Console("test", quiet=True))
    return asked, record, onnx.load(str(asked.output / record.file))


@pytest.mark.parametrize(("batch", "base"), [(2, STATIC), (DYNAMIC, OPEN)])
@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("form", FORMS)
def test_graph_has_exactly_the_documented_operators(checkpoint, tmp_path, form, opset, batch, base):
    overrides, more = FORMS[form]
    asked, record, model = exported(checkpoint, tmp_path, *overrides, batch=batch, opset=opset)
    counts = Counter(node.op_type for node in model.graph.node)
    # Whether the last layer behind a reshape is one Gemm or two nodes is the simplifier's choice.
    linear = {"Gemm", "MatMul", "Add"}
    assert {op: count for op, count in counts.items() if op not in linear} == {
        op: count for op, count in {**base, **more}.items() if op not in linear
    }
    assert counts["Gemm"] + counts["MatMul"] == 3 and counts["MatMul"] == counts["Add"]
    assert (model.opset_import[0].version, record.opset) == (opset, opset)
    assert record.inputs == [asked.input] and record.outputs == [asked.logits]
    assert record.parity.cosine > 0.999999


@pytest.mark.parametrize("batch", [3, DYNAMIC])
@pytest.mark.parametrize("form", ["single", "averaged"])
def test_pixel_graph_gives_the_logits_of_normalised_batches(checkpoint, tmp_path, form, batch):
    values = ("transform.scale=255.0", "transform.mean=[0.41, 0.46, 0.5]", "transform.std=[0.9, 1.0, 1.1]")
    overrides = (*FORMS[form][0], *values)
    asked, record, _ = exported(checkpoint, tmp_path / "u8", *overrides, batch=batch, dtype="uint8")
    exported(checkpoint, tmp_path / "f32", *overrides, batch=batch)
    assert record.inputs[0].dtype == "uint8"
    pixels = np.random.default_rng(5).integers(0, 256, asked.input.with_batch(3).shape).astype(np.uint8)
    floats = parity.normalised(pixels, asked.input.layout, asked.card.transform)
    from_pixels = onnx_graph.run(tmp_path / "u8" / "model.onnx", [pixels])
    from_floats = onnx_graph.run(tmp_path / "f32" / "model.onnx", [floats])
    assert np.abs(from_pixels - from_floats).max() < 1e-5 * max(1, np.abs(from_floats).max())
    network = load_network(request(checkpoint, tmp_path, *overrides))
    assert np.allclose(network(floats), from_floats, atol=1e-5)
    assert np.abs(from_floats).max() > 0.1


def test_mean_volume_is_subtracted_in_the_graph(checkpoint, tmp_path):
    volume = np.random.default_rng(8).uniform(80, 140, (16, 32, 32, 3)).astype(np.float32)
    np.save(tmp_path / "mean.npy", volume)
    overrides = (*small.AVERAGED, f"transform.mean_volume={tmp_path / 'mean.npy'}")
    asked, _, _ = exported(checkpoint, tmp_path / "u8", *overrides, dtype="uint8")
    pixels = np.random.default_rng(5).integers(0, 256, asked.input.shape).astype(np.uint8)
    floats = pixels - volume.transpose(3, 0, 1, 2)
    found = onnx_graph.run(tmp_path / "u8" / "model.onnx", [pixels])
    assert np.allclose(found, load_network(asked)(floats), atol=1e-5 * np.abs(found).max())


def test_bytes_with_std_1_cost_one_cast_and_one_subtraction(checkpoint, tmp_path):
    _, _, model = exported(checkpoint, tmp_path, *small.SINGLE, dtype="uint8")
    assert Counter(node.op_type for node in model.graph.node) == {**STATIC, "Cast": 1, "Sub": 1}


def test_nodes_have_no_attribute_that_the_npu_converter_refuses(checkpoint, tmp_path):
    _, _, model = exported(checkpoint, tmp_path, *small.SINGLE)
    for node in model.graph.node:
        attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        assert attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
        assert (attributes.get("group", 1), attributes.get("ceil_mode", 0)) == (1, 0)
        if node.op_type in ("Conv", "MaxPool"):
            assert len(attributes["pads"]) == 6


def test_every_opset_that_is_offered_is_written(checkpoint, tmp_path):
    for opset in range(11, 21):
        _, record, model = exported(checkpoint, tmp_path, *small.AVERAGED, opset=opset)
        assert (model.opset_import[0].version, record.opset) == (opset, opset)


def test_refused_graph_leaves_an_earlier_one_whole(checkpoint, tmp_path):
    exported(checkpoint, tmp_path, *small.SINGLE)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ShortfallError, match="the graph differs from Paddle eager"):
        exported(checkpoint, tmp_path, *small.SINGLE, opset=17, max_diff=0.0)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def command(checkpoint, output, *more):
    given = ("--model", "c3d_paddle", "--checkpoint", checkpoint, "--output", output)
    return stage("export", *given, *small.options(*small.SINGLE), *more)


def test_command_shows_its_own_lines_and_nothing_of_paddle(checkpoint, tmp_path):
    done = command(checkpoint, tmp_path, "--dynamic-batch")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        f"export: loading {checkpoint}",
        "export: exporting at opset 11",
        "export: comparing ONNX Runtime with Paddle",
    ]
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"graph   {tmp_path / 'model.onnx'} (opset 11, ")
    assert lines[1:3] == ["input   clip float32 Nx3x16x32x32 NCTHW", "output  logits float32 Nx5 NC"]
    assert lines[3].startswith("parity  Paddle eager: largest difference") and len(lines) == 4
    again = command(checkpoint, tmp_path, "--dynamic-batch")
    assert again.stdout == f"{tmp_path / 'model.onnx'} is up to date\n"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--opset", "9"), "opset 9 cannot be written, expected 11 to 20"),
        (("--format", "pb"), "format is 'pb', paddle checkpoints are exported to onnx"),
        (("--set", "model.classes=6"), "use --set model.classes=5"),
    ],
)
def test_wrong_requests_are_one_line(checkpoint, tmp_path, more, words):
    refused(command(checkpoint, tmp_path, *more), words)
    assert not list(tmp_path.glob("model.*"))
