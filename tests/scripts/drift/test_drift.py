"""Drift by layer on the demo's network: graphs with one layer changed, compiled models, dumps of an NPU host."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Callable, Dict, List, Sequence

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import read_manifest
from clip2om.scripts.drift.figures import Drift, Feed, LayerDrift, Limits, measure
from clip2om.scripts.drift.graph import OnnxGraph
from clip2om.scripts.drift.npu_dump import read_dumps
from clip2om.scripts.drift.sides import Dumps, open_side
from tests.command import refused, stage
from tests.convert.graphs import Graph, write_frozen, write_graph
from tests.infer.cases import clips_of, write_batches, write_model

CARD = "3d_resnet_demo"
BATCH = 4


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph of the demo's weights, four clips and a few more, and the model compiled for this CPU."""
    root = tmp_path_factory.mktemp("drift")
    done = stage("scripts.demo_dataset", root / "data", "--subset", "all", "--videos-per-class", 1)
    assert done.returncode == 0, done.stderr
    paths = ["--video-path", root / "data/videos", "--annotation-path", root / "data/annotation.json"]
    for name, *options in (
        ("export", "--batch", BATCH, "--output", root / "graph"),
        ("preprocess", "--batch", BATCH, *paths, "--limit", 2, "--output", root / "batches"),
        ("convert", "--graph", root / "graph", "--soc", "cpu", "--batch", BATCH, "--output", root / "compiled"),
    ):
        done = stage(name, "--model", CARD, *options)
        assert done.returncode == 0, done.stderr
    return root


def drift(folders: Path, against: object, *options: object):
    paths = ["--graph", folders / "graph", "--batches", folders / "batches", "--output", folders / "drift"]
    return stage("scripts.drift", "--model", CARD, *paths, "--against", against, *options)


def figures(folders: Path) -> dict:
    return json.loads((folders / "drift" / "drift.json").read_text())


def changed(folders: Path, target: Path, changes: Dict[str, Callable[[np.ndarray], np.ndarray]]) -> Path:
    """Write the graph with the weights of some convolutions changed; the key is the end of the node's name."""
    model = onnx.load(str(folders / "graph" / "model.onnx"))
    weights = {node.name: node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for name, change in changes.items():
        tensor = tensors[weights[whole(folders, name)]]
        tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), tensor.name))
    onnx.save(model, str(target))
    return target


def whole(folders: Path, end: str) -> str:
    """Return the name of the convolution that ends with ``end``."""
    (name,) = [
        layer.name for layer in OnnxGraph(folders / "graph" / "model.onnx", BATCH).layers if layer.name.endswith(end)
    ]
    return name


def half(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16).astype(np.float32)


def broken(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values[::-1])


ROUNDED, BROKEN = "/layer1/layer1.0/conv2/Conv", "/layer3/layer3.0/conv1/Conv"


def test_the_compiled_model_agrees_layer_by_layer(folders: Path) -> None:
    done = drift(folders, folders / "compiled", "--gate")
    assert done.returncode == 0, done.stderr
    found = figures(folders)
    assert len(found["layers"]) > 25 and found["clips"] == BATCH
    assert max(layer["relative"] for layer in found["layers"]) < 1e-5
    assert "no layer differs by more than the order of float32 sums explains" in done.stdout


def test_a_broken_layer_is_named_and_misses_the_gate(folders: Path, tmp_path: Path) -> None:
    graph = changed(folders, tmp_path / "other.onnx", {ROUNDED: half, BROKEN: broken})
    done = drift(folders, graph, "--gate")
    assert done.returncode == 1
    broken_name, rounded_name = whole(folders, BROKEN), whole(folders, ROUNDED)
    assert f" {broken_name}\n" in done.stdout and "first layer beyond a limit: " in done.stdout
    (error,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert f"layer {broken_name}: cosine" in error and "at least 0.99 and at most 0.05" in error
    page = (folders / "drift" / "drift.html").read_text(encoding="utf-8")
    assert f'<b class="wrong">{broken_name}</b>' in page and f'<b class="wrong">{rounded_name}</b>' not in page
    # The rounded layer stands out too, and before the broken one nothing is beyond a limit.
    added = done.stdout.partition("layers that add most")[2].splitlines()[3:5]
    assert [line.split()[1] for line in added] == [broken_name, rounded_name]
    before = [layer for layer in figures(folders)["layers"] if layer["name"] == rounded_name]
    assert 1e-5 < before[0]["relative"] < 1e-3


def test_int8_keeps_the_names_of_the_layers_and_parts_from_float32_in_each(folders: Path) -> None:
    paths = ["--video-path", folders / "data/videos", "--annotation-path", folders / "data/annotation.json"]
    training = folders / "training"
    given = ["--model", CARD, "--batch", BATCH]
    done = stage("preprocess", *given, *paths, "--subset", "training", "--output", training)
    assert done.returncode == 0, done.stderr
    int8 = ["--precision", "int8", "--calibration", training, "--calibration-clips", 32]
    more = ["--graph", folders / "graph", "--soc", "cpu", "--output", folders / "int8"]
    done = stage("convert", *given, *more, *int8)
    assert done.returncode == 0, done.stderr
    done = drift(folders, folders / "int8", "--gate")
    assert done.returncode == 1, done.stderr
    found = figures(folders)
    assert found["unmatched"] == []
    layers = {layer["name"]: layer for layer in found["layers"]}
    # Before the first integers stands the input's own arithmetic, which is exact.
    assert found["layers"][0]["relative"] < 1e-6
    convolutions = [layer for layer in layers.values() if layer["op"] == "Conv"]
    assert len(convolutions) == 12 and all(1e-3 < layer["relative"] < 0.5 for layer in convolutions)
    assert all(layer["cosine"] > 0.9 for layer in layers.values())
    assert f"layer {found['layers'][0]['name']}" not in done.stderr and "first layer beyond a limit" in done.stdout


def test_padding_counts_in_no_figure(folders: Path) -> None:
    manifest = read_manifest(folders / "batches")
    clips = manifest.files[1].clips
    assert 0 < clips < BATCH
    done = drift(folders, folders / "compiled", "--file", 2)
    assert done.returncode == 0, done.stderr
    assert figures(folders)["clips"] == clips and f"on {clips} clips" in done.stderr
    reference = OnnxGraph(folders / "graph" / "model.onnx", BATCH)

    class OffInThePadding:
        def names(self) -> List[str]:
            return reference.names()

        def run(self, feed: np.ndarray, outputs: Sequence[str]) -> Dict[str, np.ndarray]:
            values = reference.run(feed, outputs)
            for value in values.values():
                if value.ndim and len(value) == BATCH:
                    value[clips:] += 1
            return values

    values = feed_of(folders, "batch_00001.bin").values
    off = [
        [layer.relative for layer in measure(reference, OffInThePadding(), Feed(manifest.tensor, values, items))]
        for items in (clips, BATCH)
    ]
    assert max(off[0]) == 0 and max(off[1]) > 0.1


def test_several_rows_per_item_are_cut_with_their_item(tmp_path: Path) -> None:
    graph = Graph(4, clips=3)
    write_graph(tmp_path / "graph", graph)
    write_model(tmp_path / "compiled", graph)
    write_batches(tmp_path / "batches", graph, clips_of(5, graph), 4)
    paths = ["--graph", tmp_path / "graph", "--batches", tmp_path / "batches", "--output", tmp_path / "drift"]
    done = stage("scripts.drift", *paths, "--against", tmp_path / "compiled", "--file", 2, "--gate")
    assert done.returncode == 0, done.stderr
    found = figures(tmp_path)
    assert found["clips"] == 3 and found["unmatched"] == []
    assert [layer["op"] for layer in found["layers"]][-1] == "Reshape"


def feed_of(folders: Path, name: str = "batch_00000.bin") -> Feed:
    tensor = read_manifest(folders / "batches").tensor
    return Feed(tensor, np.fromfile(folders / "batches" / name, np.uint8).reshape(tensor.shape), BATCH)


def test_layers_are_computed_in_groups_with_the_same_result(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = OnnxGraph(folders / "graph" / "model.onnx", BATCH)
    feed = feed_of(folders)
    other = open_side(folders / "compiled", reference.layers, feed.tensor)
    whole = list(measure(reference, other, feed))
    monkeypatch.setattr("clip2om.scripts.drift.figures._CHUNK_BYTES", 1 << 20)
    grouped = list(measure(reference, other, feed))
    assert [layer.depth for layer in grouped] == [layer.depth for layer in whole]
    assert max(abs(one.relative - two.relative) for one, two in zip(whole, grouped)) < 1e-6


def test_nan_is_the_worst_of_all_errors() -> None:
    def layer(depth: int, error: float, cosine: float) -> LayerDrift:
        return LayerDrift(depth, f"layer{depth}", "Conv", cosine, error, error, error / 1e-5)

    nan = float("nan")
    found = Drift([layer(1, 0.0, 1.0), layer(2, 0.2, 0.999), layer(3, nan, nan), layer(4, 0.3, 0.9)], [])
    assert [item.depth for item in found.worst(3)] == [3, 4, 2]
    assert found.first(Limits()).depth == 2
    assert Limits().missed(found.layers[2])


# What an NPU host leaves: written here by the published description of the format.


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def numbered(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def nested(field: int, data: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(data)) + data


def dump_file(values: np.ndarray, data_type: int, layout: int, original: str = "", feed: bytes = b"") -> bytes:
    """Return a dump of one output (and one input ``feed``, which a reader has to step over)."""
    shape = b"".join(varint(extent) for extent in values.shape)
    name = nested(4, nested(1, original.encode())) if original else b""
    output = numbered(1, data_type) + numbered(2, layout) + nested(3, nested(1, shape)) + name
    header = nested(1, b"2.0") + numbered(2, 1764000000) + nested(3, output + numbered(6, values.nbytes))
    if feed:
        header += nested(4, numbered(1, 1) + numbered(5, len(feed)))
    return struct.pack("<Q", len(header)) + header + feed + values.tobytes()


def blocked(values: np.ndarray) -> np.ndarray:
    """Return (N, C, D, H, W) as an NPU lays it out: (N, D, C1, H, W, 16), channels padded with zeros."""
    count, channels, *space = values.shape
    padded = np.zeros((count, -(-channels // 16) * 16, *space), values.dtype)
    padded[:, :channels] = values
    return np.ascontiguousarray(padded.reshape(count, -1, 16, *space).transpose(0, 3, 1, 4, 5, 2))


@pytest.fixture(scope="module")
def dumps(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every layer of the graph as an NPU host would dump it, in float16; one layer is off."""
    folder = tmp_path_factory.mktemp("dumps") / "20261124101500" / "0" / "model" / "1" / "0"
    folder.mkdir(parents=True)
    graph = OnnxGraph(folders / "graph" / "model.onnx", BATCH)
    feed = feed_of(folders).values
    for number, (layer, values) in enumerate(zip(graph.layers, graph.run(feed, graph.names()).values())):
        values = values.astype(np.float16)
        if layer.name.endswith(BROKEN):
            values = -values
        five = values.ndim == 5
        plain = layer.name.replace("/", "_").replace(".", "_")
        # The file is called after the fused operator; the header knows the node.
        name = f"{layer.op}.fused_{plain}.{number}.5.1764000000123456"
        data = dump_file(blocked(values) if five else values, 2, 32 if five else 2, layer.name, b"input bytes")
        (folder / name).write_bytes(data)
    return folder.parents[4]


def test_dumps_of_an_npu_host_name_the_broken_layer(folders: Path, dumps: Path) -> None:
    done = drift(folders, dumps, "--gate")
    assert done.returncode == 1, done.stderr
    assert f"{BROKEN}\n" in done.stdout
    found = figures(folders)
    assert found["unmatched"] == []
    others = [layer for layer in found["layers"] if not layer["name"].endswith(BROKEN)]
    assert max(layer["relative"] for layer in others) < 1e-3


def test_npy_files_of_msaccucmp_are_matched_by_the_end_of_a_fused_name(folders: Path, tmp_path: Path) -> None:
    graph = OnnxGraph(folders / "graph" / "model.onnx", BATCH)
    layer = graph.layers[-1]
    values = np.arange(BATCH * 8, dtype=np.float32).reshape(BATCH, 8)
    plain = layer.name.replace("/", "_").replace(".", "_")
    np.save(tmp_path / f"MatMulV2.something{plain}.3.7.1764000000123456.output.0.{BATCH}x8.npy", values)
    side = Dumps(tmp_path, graph.layers)
    assert side.names() == [layer.output]
    assert np.array_equal(side.run(np.zeros(0), [layer.output])[layer.output], values)


@pytest.mark.parametrize(
    ("layout", "shape", "expected"), [(3, (2, 2, 5, 6, 16), (2, 32, 5, 6)), (27, (2, 3, 5, 6, 7), (2, 7, 3, 5, 6))]
)
def test_other_layouts_put_the_channels_first(layout: int, shape: tuple, expected: tuple, tmp_path: Path) -> None:
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    (tmp_path / "Conv2D.op.1.2.1764000000123456").write_bytes(dump_file(values, 1, layout))
    (tensor,) = read_dumps(tmp_path)
    assert (tensor.operator, tensor.original, tensor.values.shape) == ("op", "", expected)
    if layout == 3:
        assert tensor.values[1, 17, 4, 5] == values[1, 1, 4, 5, 1]
    else:
        assert tensor.values[1, 6, 2, 4, 5] == values[1, 2, 4, 5, 6]


def test_bfloat16_dumps_are_widened(tmp_path: Path) -> None:
    bits = (np.array([1.5, -2.0], np.float32).view(np.uint32) >> 16).astype(np.uint16)
    (tmp_path / "Add.op.1.2.1764000000123456").write_bytes(dump_file(bits, 27, 2))
    assert read_dumps(tmp_path)[0].values.tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"abc", "is no dump file: 3 bytes"),
        (struct.pack("<Q", 9999) + b"x" * 50, "its header would end at byte 10007 of 58"),
        (struct.pack("<Q", 4) + b"\xff\xff\xff\xff", "its header is no DumpData message"),
        (dump_file(np.zeros(4, np.float32), 1, 2)[:-1], "is cut short"),
        (dump_file(np.zeros(4, np.float32), 99, 2), "holds data type 99"),
        (dump_file(np.zeros((4, 4), np.float32), 1, 29), "is in layout 29"),
        (dump_file(np.zeros(4, np.float32), 12, 2), "values for shape [4]"),
    ],
)
def test_a_damaged_dump_is_one_line(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "Conv3D.op.1.2.1764000000123456").write_bytes(data)
    with pytest.raises(RequestError) as caught:
        read_dumps(tmp_path)
    assert words in caught.value.line()


def _wrong(folders: Path, tmp_path: Path) -> List[tuple]:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    write_frozen(tmp_path / "frozen")
    write_batches(
        tmp_path / "two", Graph(dtype="uint8", shape=(3, 16, 64, 64)), np.zeros((2, 3, 16, 64, 64), np.uint8), 2
    )
    other = tmp_path / "Relu.elsewhere.1.2.1764000000123456"
    other.write_bytes(dump_file(np.zeros((1, 2), np.float32), 1, 2))
    return [
        (tmp_path / "nowhere", (), "no such model, graph or folder of dumps"),
        (tmp_path / "empty", (), "holds no dump of an output"),
        (tmp_path / "bad.onnx", (), "is no ONNX graph"),
        (tmp_path, (), "none of the dumped operators is a layer of the graph"),
        (folders / "compiled", ("--file", 99), "there are 2 batch files, not 99"),
        (folders / "compiled", ("--batches", tmp_path), "run python -m preprocess first"),
        (folders / "compiled", ("--graph", tmp_path), "run make graph first"),
        (folders / "compiled", ("--graph", tmp_path / "frozen"), "is a graph of format 'pb': only the layers of ONNX"),
        (
            folders / "compiled",
            ("--batches", tmp_path / "two"),
            "the batches hold 2 clips, the model was compiled for 4",
        ),
    ]


def test_wrong_input_is_one_line(folders: Path, tmp_path: Path) -> None:
    for against, options, words in _wrong(folders, tmp_path):
        refused(drift(folders, against, *options), words)
