"""Graphs that were made elsewhere: adopted where the card describes them, refused with a way out where it does not."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from clip2om.export.__main__ import main
from clip2om.pipeline.records import GraphRecord, read_record

SETS = ["model.framework=onnx", "input.dtype=float32", "input.batch=2"]


class Small(torch.nn.Module):
    """A network of clips as somebody else writes it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv3d(3, 8, 3, stride=4)
        self.fc = torch.nn.Linear(8, 8)

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3, 4)))


def foreign(path, batch=2, dynamic=None, names=("input", "output"), opset=13, **options):
    torch.onnx.export(
        Small().eval(),
        (torch.ones(batch, 3, 16, 64, 64),),
        str(path),
        dynamo=False,
        opset_version=opset,
        input_names=names[:1],
        output_names=names[1:],
        dynamic_axes=dynamic,
        **options,
    )
    return path


def adopt(path, output, *more, sets=SETS):
    words = ["--model", "3d_resnet_demo", "--graph-file", str(path), "--output", str(output), "--quiet", *more]
    return main([*words, *[word for entry in sets for word in ("--set", entry)]])


def refused(capsys, path, output, *more, sets=SETS):
    assert adopt(path, output, *more, sets=sets) == 2
    line = capsys.readouterr().err.strip()
    assert "\n" not in line
    return line


def outputs(path, clips):
    session = onnxruntime.InferenceSession(str(path))
    return session.run(None, {session.get_inputs()[0].name: clips})[0]


def clips(count):
    return np.random.default_rng(0).normal(size=(count, 3, 16, 64, 64)).astype(np.float32)


def test_graph_is_adopted_as_it_is(tmp_path):
    path = foreign(tmp_path / "mine.onnx")
    assert adopt(path, tmp_path / "graph") == 0
    record = read_record(tmp_path / "graph" / "model.json", GraphRecord, "")
    assert (record.opset, record.inputs[0].shape, record.parity.reference) == (
        13,
        (2, 3, 16, 64, 64),
        "the graph as it was given",
    )
    given = clips(2)
    expected = Small().eval()(torch.from_numpy(given)).detach().numpy()
    assert np.allclose(outputs(tmp_path / "graph" / "model.onnx", given), expected, atol=1e-5)


@pytest.mark.parametrize("dynamic", [None, {"input": {0: "n"}, "output": {0: "n"}}, {"input": [0, 2, 3, 4]}])
@pytest.mark.parametrize(("options", "batch"), [(["--batch", "5"], 5), (["--dynamic-batch"], -1)])
def test_batch_axis_is_set_or_freed(tmp_path, dynamic, options, batch):
    path = foreign(tmp_path / "mine.onnx", dynamic=dynamic)
    assert adopt(path, tmp_path / "graph", *options) == 0
    record = read_record(tmp_path / "graph" / "model.json", GraphRecord, "")
    assert record.inputs[0].shape == (batch, 3, 16, 64, 64)
    expected = Small().eval()(torch.from_numpy(clips(5))).detach().numpy()
    assert np.allclose(outputs(tmp_path / "graph" / "model.onnx", clips(5)), expected, atol=1e-5)


def test_normalisation_is_folded_in_for_pixels(tmp_path):
    path = foreign(tmp_path / "mine.onnx")
    assert adopt(path, tmp_path / "graph", "--input-dtype", "uint8") == 0
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 16, 64, 64)).astype(np.uint8)
    values = torch.from_numpy((pixels / np.float32(255) - np.float32(0.5)) / np.float32(0.25))
    expected = Small().eval()(values).detach().numpy()
    assert np.allclose(outputs(tmp_path / "graph" / "model.onnx", pixels), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"names": ("video", "output")}, "--set input.name=video"),
        ({"names": ("input", "logits")}, "--set export.output_name=logits"),
    ],
)
def test_other_names_are_refused_with_the_entry_that_fits(tmp_path, capsys, change, words):
    assert words in refused(capsys, foreign(tmp_path / "mine.onnx", **change), tmp_path / "graph")


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["model.classes=7"], "--set model.classes=8"),
        (["transform.size=32", "input.shape=[3,16,32,32]"], "set input.shape to [3, 16, 64, 64]"),
        (["input.layout=NTCHW", "input.shape=[16,3,64,64]"], "set input.shape to [3, 16, 64, 64]"),
    ],
)
def test_other_entries_of_the_card_are_refused(tmp_path, capsys, sets, words):
    path = foreign(tmp_path / "mine.onnx")
    assert words in refused(capsys, path, tmp_path / "graph", sets=[*SETS, *sets])


def test_other_opset_is_refused_where_one_is_asked_for(tmp_path, capsys):
    path = foreign(tmp_path / "mine.onnx")
    assert "is of opset 13, asked for is 11" in refused(capsys, path, tmp_path / "graph", "--opset", "11")


def graph_of(path, nodes, inputs, outputs=None, initializers=(), domain=""):
    ends = outputs or [helper.make_tensor_value_info("output", TensorProto.FLOAT, [2, 8])]
    graph = helper.make_graph(nodes, "g", inputs, ends, list(initializers))
    imports = [helper.make_opsetid("", 13), *([helper.make_opsetid(domain, 1)] if domain else [])]
    model = helper.make_model(graph, opset_imports=imports)
    model.ir_version = 8
    path.write_bytes(model.SerializeToString())
    return path


def value(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def test_several_inputs_are_refused_by_name(tmp_path, capsys):
    nodes = [helper.make_node("Add", ["input", "other"], ["output"])]
    path = graph_of(tmp_path / "mine.onnx", nodes, [value("input", 2, 8), value("other", 2, 8)])
    assert "has 2 inputs (input, other)" in refused(capsys, path, tmp_path / "graph")


def test_images_and_custom_operators_are_refused(tmp_path, capsys):
    nodes = [helper.make_node("Relu", ["input"], ["output"])]
    path = graph_of(tmp_path / "flat.onnx", nodes, [value("input", 2, 3, 64, 64)])
    assert "has 4 axes (2x3x64x64)" in refused(capsys, path, tmp_path / "graph")
    nodes = [helper.make_node("Mine", ["input"], ["output"], domain="my.own")]
    path = graph_of(tmp_path / "own.onnx", nodes, [value("input", 2, 3, 16, 64, 64)], domain="my.own")
    assert "custom operators" in refused(capsys, path, tmp_path / "graph")


def test_batch_that_cannot_be_changed_is_refused(tmp_path, capsys):
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [2, 98304 * 2])
    nodes = [
        helper.make_node("Reshape", ["input", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["output"]),
    ]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [196608, 8], np.full(196608 * 8, 1e-3, np.float32))
    path = graph_of(tmp_path / "mine.onnx", nodes, [value("input", 2, 3, 16, 64, 64)], None, [shape, weight])
    assert adopt(path, tmp_path / "graph") == 0
    assert "batch" in refused(capsys, path, tmp_path / "graph", "--batch", "3")


def test_weights_beside_the_graph_are_taken_or_missed(tmp_path, capsys):
    model = onnx.load(str(foreign(tmp_path / "mine.onnx")))
    onnx.save(model, str(tmp_path / "apart.onnx"), save_as_external_data=True, location="apart.bin", size_threshold=0)
    assert adopt(tmp_path / "apart.onnx", tmp_path / "graph") == 0
    (tmp_path / "apart.bin").unlink()
    assert "apart.bin, which is not beside it" in refused(capsys, tmp_path / "apart.onnx", tmp_path / "again")


def test_files_outside_of_the_folder_are_not_read(tmp_path, capsys):
    model = onnx.load(str(foreign(tmp_path / "mine.onnx")))
    onnx.save(model, str(tmp_path / "apart.onnx"), save_as_external_data=True, location="apart.bin", size_threshold=0)
    data = (tmp_path / "apart.onnx").read_bytes().replace(b"apart.bin", b"../secret")
    (tmp_path / "apart.onnx").write_bytes(data)
    assert "names a file outside of its folder" in refused(capsys, tmp_path / "apart.onnx", tmp_path / "graph")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"hello", b"\x08\x08" + bytes(50)])
def test_other_files_are_refused(tmp_path, capsys, content):
    path = tmp_path / "mine.onnx"
    path.write_bytes(content)
    assert str(path) in refused(capsys, path, tmp_path / "graph")


def test_graphs_of_other_tools_are_named_with_the_command_that_converts(tmp_path, capsys):
    saved, paddle = tmp_path / "saved", tmp_path / "paddle"
    frozen, mindir = tmp_path / "frozen.pb", tmp_path / "net.mindir"
    saved.mkdir()
    paddle.mkdir()
    (saved / "saved_model.pb").write_bytes(b"\x08\x01")
    (paddle / "inference.pdmodel").write_bytes(b"\x0a")
    frozen.write_bytes(b"\x0a\x1f\x0a\x05input\x12\x0bPlaceholder")
    mindir.write_bytes(b"\x0a\x05")
    cases = {
        frozen: ("is a frozen graph of TensorFlow", f"tf2onnx.convert --graphdef {frozen} --inputs INPUT:0"),
        saved: ("is a SavedModel of TensorFlow", f"tf2onnx.convert --saved-model {saved} --opset 11"),
        saved / "saved_model.pb": ("is a SavedModel", f"--saved-model {saved} "),
        paddle: ("is an inference model of Paddle", f"--model_dir {paddle} --model_filename inference.pdmodel"),
        mindir: ("is a graph of MindSpore", "file_format='ONNX'"),
    }
    for path, words in cases.items():
        line = refused(capsys, path, tmp_path / "graph")
        assert all(word in line for word in words), line
    # What a file holds decides, not its name.
    assert adopt(foreign(tmp_path / "onnx.pb"), tmp_path / "graph") == 0


def test_more_weights_than_one_file_holds_are_refused(tmp_path, capsys):
    model = onnx.load(str(foreign(tmp_path / "mine.onnx")))
    onnx.save(model, str(tmp_path / "apart.onnx"), save_as_external_data=True, location="apart.bin", size_threshold=0)
    with open(tmp_path / "apart.bin", "r+b") as stream:
        stream.truncate((1 << 31) + 1)  # a hole: nothing is written
    assert "more than 2 GB" in refused(capsys, tmp_path / "apart.onnx", tmp_path / "graph")


def test_card_of_a_framework_takes_no_graph(tmp_path, capsys):
    path = foreign(tmp_path / "mine.onnx")
    assert "--set model.framework=onnx" in refused(capsys, path, tmp_path / "graph", sets=[])


def test_dead_graph_is_adopted_with_a_warning(tmp_path, capsys):
    model = onnx.load(str(foreign(tmp_path / "mine.onnx")))
    for tensor in model.graph.initializer:
        tensor.raw_data = bytes(len(tensor.raw_data))
    onnx.save(model, str(tmp_path / "dead.onnx"))
    assert adopt(tmp_path / "dead.onnx", tmp_path / "graph") == 0
    assert "all outputs are the same whatever goes in" in capsys.readouterr().err
