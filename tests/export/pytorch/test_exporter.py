"""Graphs of the demo network: operators, interface, numbers."""

from collections import Counter

import numpy as np
import onnx
import pytest
import torch

from clip2om.export import gate, onnx_graph, parity
from clip2om.export.pytorch.exporter import export_graph, measure
from clip2om.export.pytorch.networks import build_network
from clip2om.export.request import ExportRequest
from clip2om.pipeline import cards
from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import ShortfallError
from clip2om.pipeline.tensor import DYNAMIC
from tests.export import golden

# What a 3D ResNet-10 consists of; the rest is the pooling head.
RESNET10 = {"Conv": 12, "Relu": 9, "MaxPool": 1, "Add": 4, "Gemm": 1}
HEADS = {
    "global": {"GlobalAveragePool": 1, "Flatten": 1},
    "average": {"AveragePool": 1, "Flatten": 1},
    "mean": {"ReduceMean": 1},
}


def request(checkpoint, output, *overrides, batch=2, dtype="float32", opset=11, max_diff=1e-4):
    card = cards.load("3d_resnet_demo", overrides)
    return ExportRequest(card, checkpoint, sha256_file(checkpoint), output, "onnx", batch, dtype, opset, max_diff)


def exported(*args, **options):
    asked = request(*args, **options)
    record = export_graph(asked, Console("test", quiet=True))
    return asked, record, onnx.load(str(asked.output / record.file))


@pytest.mark.parametrize(
    ("pooling", "batch", "opset"),
    [
        *((pooling, batch, 11) for pooling in HEADS for batch in (2, DYNAMIC)),
        ("global", DYNAMIC, 17),
        ("average", 2, 20),
        ("mean", DYNAMIC, 20),  # from 18 on ReduceMean takes its axes as an input
    ],
)
def test_float_graph_has_exactly_the_documented_operators(checkpoint, tmp_path, pooling, batch, opset):
    asked, record, model = exported(checkpoint, tmp_path, f"export.pooling={pooling}", batch=batch, opset=opset)
    assert Counter(node.op_type for node in model.graph.node) == {**RESNET10, **HEADS[pooling]}
    assert (model.opset_import[0].version, record.opset) == (opset, opset)
    assert record.inputs == [asked.input] and record.outputs == [asked.logits]
    assert record.parity.cosine > 0.999999 and record.parity.clips == 4


def test_nodes_have_no_attribute_that_the_npu_converter_refuses(checkpoint, tmp_path):
    _, _, model = exported(checkpoint, tmp_path, "export.pooling=average")
    for node in model.graph.node:
        attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        assert attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
        assert attributes.get("group", 1) == 1
        assert attributes.get("count_include_pad", 0) == 0
        assert attributes.get("ceil_mode", 0) == 0
        if node.op_type in ("Conv", "MaxPool"):
            assert len(attributes["pads"]) == 6


@pytest.mark.parametrize("batch", [2, DYNAMIC])
def test_shortcut_a_becomes_plain_convolutions(tmp_path, batch):
    overrides = ("model.arguments.shortcut=A", "model.arguments.widen_factor=0.0625")
    state = golden.state_dict(build_network(cards.load("3d_resnet_demo", overrides)), "A")
    torch.save(state, tmp_path / "a.pth")
    _, record, model = exported(tmp_path / "a.pth", tmp_path / "graph", *overrides, batch=batch)
    assert Counter(node.op_type for node in model.graph.node) == {**RESNET10, **HEADS["average"]}
    assert record.parity.max_abs_diff < 1e-5


def test_names_come_from_the_card(checkpoint, tmp_path):
    _, record, model = exported(checkpoint, tmp_path, "input.name=clips", "export.output_name=logits")
    assert [value.name for value in model.graph.input] == ["clips"]
    assert [value.name for value in model.graph.output] == ["logits"]
    assert (record.inputs[0].name, record.outputs[0].name) == ("clips", "logits")


@pytest.mark.parametrize("batch", [3, DYNAMIC])
def test_pixel_graph_gives_the_logits_of_normalised_batches(checkpoint, tmp_path, batch):
    # The published mean and std: they differ between channels, unlike the demo card's.
    values = ("transform.mean=[0.4345, 0.4051, 0.3775]", "transform.std=[0.2768, 0.2713, 0.2737]")
    asked, record, model = exported(checkpoint, tmp_path / "u8", *values, batch=batch, dtype="uint8")
    exported(checkpoint, tmp_path / "f32", *values, batch=batch)
    assert record.inputs[0].dtype == "uint8"
    assert {node.op_type for node in model.graph.node} <= {*RESNET10, *HEADS["average"], "Cast", "Sub", "Mul"}
    pixels = np.random.default_rng(5).integers(0, 256, (3, 3, 16, 64, 64)).astype(np.uint8)
    floats = parity.normalised(pixels, "NCTHW", asked.card.transform)
    from_pixels = onnx_graph.run(tmp_path / "u8" / "model.onnx", [pixels])
    from_floats = onnx_graph.run(tmp_path / "f32" / "model.onnx", [floats])
    assert np.abs(from_pixels - from_floats).max() < 1e-4
    assert np.abs(from_floats).max() > 0.1


def test_graph_equals_the_golden_vectors(tmp_path):
    description, expected = golden.load("resnet-18-w025")
    overrides = (
        "model.arguments.depth=18",
        "model.arguments.widen_factor=0.25",
        "model.classes=8",
        "model.arguments.conv1_t_size=7",
    )
    sizes = ("clips.frames=8", "input.shape=[3, 8, 64, 64]", "export.pooling=average")
    state = golden.state_dict(build_network(cards.load("3d_resnet_demo", overrides)), "resnet-18-w025")
    torch.save(state, tmp_path / "golden.pth")
    exported(tmp_path / "golden.pth", tmp_path, *overrides, *sizes)
    clips = golden.clips("resnet-18-w025", description["small_input_shape"])
    assert golden.close(onnx_graph.run(tmp_path / "model.onnx", [clips]), expected["logits_small_f64"])


def test_gate_sees_a_graph_of_other_weights(checkpoint, weights, tmp_path):
    asked, _, _ = exported(checkpoint, tmp_path)
    network = build_network(asked.card).eval()
    network.load_state_dict({**weights, "fc.bias": weights["fc.bias"] + 0.01})
    figures = measure(network, tmp_path / "model.onnx", asked)
    assert figures.max_abs_diff == pytest.approx(0.01, rel=1e-3)
    with pytest.raises(ShortfallError):
        gate.check(figures, asked.max_diff, "model.onnx")


def test_refused_graph_leaves_an_earlier_one_whole(checkpoint, tmp_path):
    exported(checkpoint, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ShortfallError):
        exported(checkpoint, tmp_path, opset=17, max_diff=0.0)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
