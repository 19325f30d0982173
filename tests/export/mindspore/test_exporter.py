"""Graphs of the small networks in every format: operators, interface, numbers, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Dict, Tuple

import mindspore
import numpy as np
import onnx
import pytest

from clip2om.export import gate, onnx_graph, parity
from clip2om.export.__main__ import main
from clip2om.export.mindspore import comparison, exporter
from clip2om.export.mindspore.comparison import read_mindir, reduced
from clip2om.export.mindspore.graph_files import write_graph
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError, ShortfallError
from clip2om.pipeline.records import GraphRecord
from clip2om.pipeline.tensor import DYNAMIC
from tests.command import refused, stage
from tests.export.mindspore import small

Checkpoints = Dict[str, Path]
# Of depth 10 and 18; the softmax of resnet3d is counted apart.
OPERATORS = {
    "resnet3d": {"Conv": 12, "Relu": 9, "MaxPool": 1, "Add": 4, "ReduceMean": 1, "Gemm": 1},
    "r2plus1d": {"Conv": 37, "Relu": 34, "Add": 8, "ReduceMean": 1, "Gemm": 1},
}


def exported(checkpoints: Checkpoints, kind: str, output: Path, *overrides: str, **options: object) -> GraphRecord:
    asked = small.request(kind, checkpoints[kind], output, *overrides, **options)  # type: ignore[arg-type]
    return exporter.export_graph(asked, Console("test", quiet=True))


def clips(count: int) -> np.ndarray:
    return np.random.default_rng(7).standard_normal((count, *small.SHAPE)).astype(np.float32)


@pytest.mark.parametrize("batch", [2, DYNAMIC])
@pytest.mark.parametrize("kind", OPERATORS)
def test_onnx_graph_has_plain_operators_and_the_networks_outputs(
    checkpoints: Checkpoints, tmp_path: Path, kind: str, batch: int
) -> None:
    record = exported(checkpoints, kind, tmp_path, batch=batch)
    model = onnx.load(str(tmp_path / "model.onnx"))
    softmax = {"Softmax": 1} if kind == "resnet3d" else {}
    assert Counter(node.op_type for node in model.graph.node) == {**OPERATORS[kind], **softmax}
    asked = small.request(kind, checkpoints[kind], tmp_path, batch=batch)
    assert (record.inputs, record.outputs, record.opset) == ([asked.input], [asked.logits], 11)
    assert (record.parity.reference, record.parity.clips) == ("MindSpore", 4)
    values = clips(2)
    logits = small.network(kind)(mindspore.Tensor(values)).asnumpy()
    if softmax:
        logits = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.abs(onnx_graph.run(tmp_path / "model.onnx", [values]) - logits).max() < 1e-5
    if batch == DYNAMIC:
        assert np.abs(onnx_graph.run(tmp_path / "model.onnx", [values[:1], values[1:]]) - logits).max() < 1e-5


@pytest.mark.parametrize("kind", OPERATORS)
def test_nodes_have_no_attribute_that_the_npu_converter_refuses(
    checkpoints: Checkpoints, tmp_path: Path, kind: str
) -> None:
    exported(checkpoints, kind, tmp_path)
    for node in onnx.load(str(tmp_path / "model.onnx")).graph.node:
        attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        assert attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
        assert (attributes.get("group", 1), attributes.get("ceil_mode", 0)) == (1, 0)
        if node.op_type in ("Conv", "MaxPool"):
            assert len(attributes["pads"]) == 6


@pytest.mark.parametrize("frames", [8, 7])
def test_same_padding_of_odd_and_even_sizes(checkpoints: Checkpoints, tmp_path: Path, frames: int) -> None:
    sizes = (f"clips.frames={frames}", f"input.shape=[3, {frames}, 34, 34]", "transform.size=34", "transform.resize=34")
    record = exported(checkpoints, "resnet3d", tmp_path, *sizes)
    (pool,) = [node for node in onnx.load(str(tmp_path / "model.onnx")).graph.node if node.op_type == "MaxPool"]
    # The stem leaves 8 or 7 frames of 17x17.
    assert onnx.helper.get_node_attr_value(pool, "pads") == ([0, 1, 1, 1, 1, 1] if frames == 8 else [1] * 6)
    assert record.parity.max_abs_diff < 1e-6


@pytest.mark.parametrize(("form", "batch"), [("onnx", 3), ("onnx", DYNAMIC), ("mindir", 3)])
def test_pixel_graph_gives_the_outputs_of_normalised_batches(
    checkpoints: Checkpoints, tmp_path: Path, form: str, batch: int
) -> None:
    record = exported(checkpoints, "resnet3d", tmp_path, batch=batch, dtype="uint8", form=form)
    assert record.inputs[0].dtype == "uint8"
    asked = small.request("resnet3d", checkpoints["resnet3d"], tmp_path)
    pixels = np.random.default_rng(5).integers(0, 256, (3, *small.SHAPE)).astype(np.uint8)
    floats = parity.normalised(pixels, "NCTHW", asked.card.transform)
    found = exporter.load_graph(tmp_path / record.file)(pixels)
    expected = exporter.load_network(asked)(floats)
    assert np.abs(found - expected).max() < 1e-5 * max(1, np.abs(expected).max())
    assert np.abs(expected).max() > 0.01


@pytest.mark.parametrize("batch", [2, DYNAMIC])
@pytest.mark.parametrize("kind", OPERATORS)
def test_mindir_holds_the_weights_and_gives_the_networks_outputs(
    checkpoints: Checkpoints, tmp_path: Path, kind: str, batch: int
) -> None:
    record = exported(checkpoints, kind, tmp_path, form="mindir", batch=batch)
    assert (record.format, record.opset, record.parity.max_abs_diff) == ("mindir", 0, 0.0)
    graph = read_mindir(tmp_path / "model.mindir").graph
    assert tuple(graph.input[0].tensor[0].dims) == (batch, *small.SHAPE)
    assert tuple(graph.output[0].tensor[0].dims) == (batch, small.CLASSES)
    assert (tmp_path / "model.mindir").stat().st_mode & 0o777 == 0o644
    run = exporter.load_graph(tmp_path / "model.mindir")
    asked = small.request(kind, checkpoints[kind], tmp_path)
    for count in (1, 3) if batch == DYNAMIC else (2,):
        assert np.array_equal(run(clips(count)), exporter.load_network(asked)(clips(count)))


def test_large_graphs_are_compared_on_small_clips_and_say_so(checkpoints: Checkpoints, tmp_path: Path) -> None:
    sizes = ("clips.frames=16", "input.shape=[3, 16, 50, 50]", "transform.size=50", "transform.resize=50")
    for form in ("onnx", "mindir"):
        record = exported(checkpoints, "resnet3d", tmp_path, *sizes, form=form, batch=5)
        assert record.inputs[0].shape == (5, 3, 16, 50, 50)
        assert record.parity.reference == "MindSpore on clips of 8x34x34 instead of 16x50x50"
        assert record.parity.max_abs_diff < 1e-6


@pytest.mark.parametrize(
    ("size", "stride", "expected"),
    [((16, 112, 112), 1, (8, 32, 32)), ((17, 97, 30), 1, (9, 33, 30)), ((15, 40, 35), 2, (11, 32, 35))],
)
def test_reduced_sizes_keep_their_remainders(
    checkpoints: Checkpoints, tmp_path: Path, size: Tuple[int, int, int], stride: int, expected: Tuple[int, ...]
) -> None:
    asked = small.request(
        "resnet3d", checkpoints["resnet3d"], tmp_path, f"model.arguments.conv1_t_stride={stride}", batch=10
    )
    object.__setattr__(asked.card.input, "shape", (3, *size))
    assert reduced(asked).shape == (2, 3, *expected)


def test_gate_sees_other_weights(checkpoints: Checkpoints, tmp_path: Path) -> None:
    exported(checkpoints, "r2plus1d", tmp_path)
    asked = small.request("r2plus1d", checkpoints["r2plus1d"], tmp_path)
    other = small.network("r2plus1d")
    other.fc.bias.set_data(mindspore.Tensor(other.fc.bias.asnumpy() + 0.01))
    figures = comparison.compare_onnx(other, tmp_path / "model.onnx", asked)
    assert figures.max_abs_diff == pytest.approx(0.01, rel=1e-3)
    with pytest.raises(ShortfallError, match="the graph differs from MindSpore"):
        gate.check(figures, asked.max_diff, "model.onnx")


def test_mindir_of_other_weights_or_another_batch_is_refused(checkpoints: Checkpoints, tmp_path: Path) -> None:
    asked = small.request("r2plus1d", checkpoints["r2plus1d"], tmp_path, form="mindir")
    network = small.network("r2plus1d")
    write_graph(network, asked.input.with_batch(3), tmp_path / "other.mindir")
    with pytest.raises(ShortfallError, match=r"tensors of shape \[\(3, 3, 8, 32, 32\), \(3, 5\)\]"):
        comparison.compare_mindir(network, network, tmp_path / "other.mindir", asked)
    write_graph(network, asked.input, tmp_path / "other.mindir")
    network.fc.bias.set_data(mindspore.Tensor(network.fc.bias.asnumpy() + 0.01))
    with pytest.raises(ShortfallError, match="does not hold the checkpoint's weights"):
        comparison.compare_mindir(network, network, tmp_path / "other.mindir", asked)


def test_refused_graph_leaves_an_earlier_one_whole(checkpoints: Checkpoints, tmp_path: Path) -> None:
    exported(checkpoints, "resnet3d", tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ShortfallError):
        exported(checkpoints, "resnet3d", tmp_path, batch=3, max_diff=0.0)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_another_format_replaces_the_graph(checkpoints: Checkpoints, tmp_path: Path) -> None:
    exported(checkpoints, "resnet3d", tmp_path)
    exported(checkpoints, "resnet3d", tmp_path, form="mindir")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.mindir"]


def command(checkpoint: Path, output: Path, *more: object, kind: str = "resnet3d"):
    return stage("export", *small.options(kind), "--checkpoint", checkpoint, "--output", output, *more)


def test_command_shows_its_own_lines_and_nothing_of_mindspore(checkpoints: Checkpoints, tmp_path: Path) -> None:
    output = tmp_path / "a folder, größer"
    done = command(checkpoints["resnet3d"], output, "--format", "mindir")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        f"export: loading {checkpoints['resnet3d']}",
        "export: exporting as MINDIR",
        "export: comparing the graph with MindSpore's network",
    ]
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"graph   {output / 'model.mindir'} (")
    assert lines[1:3] == ["input   x float32 2x3x8x32x32 NCTHW", "output  output float32 2x5 NC"]
    assert lines[3].startswith("parity  MindSpore: largest difference") and len(lines) == 4
    again = command(checkpoints["resnet3d"], output, "--format", "mindir")
    assert again.stdout == f"{output / 'model.mindir'} is up to date\n"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--format", "air"), ("only where it has an Ascend backend", "use --format onnx")),
        (("--opset", "17"), ("opset 17", "MindSpore writes 11 only", "use --opset 11")),
        (("--set", "export.pooling=global"), ("export.pooling is 'global'", "--set export.pooling=mean")),
        (("--format", "pb"), ("format is 'pb'", "onnx or mindir or air")),
        (("--set", "model.arguments.shortcut=A"), ("model.arguments.shortcut is 'A'", "have B")),
        (("--set", "model.arguments.depth=20"), ("model.arguments.depth is 20", "10, 18, 34, 50")),
        (("--set", "model.network=c3d"), ("model.network is 'c3d'", "resnet3d, r2plus1d")),
        (
            ("--set", "model.arguments.dropout=true"),
            ("model.arguments.dropout is True", "MindSpore's resnet3d does not take"),
        ),
        (("--set", "export.batch_accuracy=true"), ("export.batch_accuracy is for TensorFlow",)),
        (("--set", "model.arguments.widen_factor=0.001"), ("widen_factor 0.001", "without channels")),
        (("--set", "model.arguments.conv1_t_stride=0"), ("conv1_t_stride is 0",)),
        (("--set", "input.layout=NTHWC", "--set", "input.shape=[8,32,32,3]"), ("'NTHWC'", "take NCTHW")),
    ],
)
def test_wrong_requests_are_one_line(
    checkpoints: Checkpoints, tmp_path: Path, capsys: pytest.CaptureFixture, more: tuple, words: tuple
) -> None:
    given = [*small.options("resnet3d"), "--checkpoint", str(checkpoints["resnet3d"]), "--output", str(tmp_path)]
    assert main([*given, *more]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    for word in words:
        assert word in line
    assert not list(tmp_path.glob("model.*"))


def test_refusal_is_all_that_a_process_says(checkpoints: Checkpoints, tmp_path: Path) -> None:
    done = command(checkpoints["resnet3d"], tmp_path, "--format", "air")
    assert refused(done) == done.stderr.strip()


def test_air_is_run_by_nothing_here(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot be run on this machine's CPU"):
        exporter.load_graph(tmp_path / "model.air")
