"""Protocols from frames to accuracy with small networks: TSM and TSN frames as batch, views as items.

The graphs are ONNX files that a user would bring. What numpy makes of the same batches is the truth; the NPU is the
simulated one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest

from clip2om.convert.__main__ import main as convert
from clip2om.export.__main__ import main as export
from clip2om.pipeline.manifest import Manifest, read_manifest
from clip2om.pipeline.records import CompiledRecord, read_record
from clip2om.postprocess.__main__ import main as postprocess
from clip2om.preprocess.__main__ import main as preprocess
from tests.cann_sim import environment
from tests.command import stage
from tests.preprocess.conftest import write_frames

onnx = pytest.importorskip("onnx")
LABELS, SIZE, CLASSES = ["a", "b", "c"], 8, 3
CARD = """
[model]
framework = "onnx"
classes = 3
[input]
name = "input"
layout = "NCHW"
shape = [3, 8, 8]
fold = "T"
batch = 2
[clips]
sampler = "segments"
frames = 4
[transform]
resize = 8
size = 8
rounding = "nearest"
kernel = "cv2-linear"
crop = "mmaction2-three"
color = "RGB"
scale = 255.0
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
[dataset]
name = "tiny"
format = "folders"
annotation = "videos"
videos = "videos"
[atc]
framework = 5
input_format = "NCHW"
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five videos of frames in class folders, and the card."""
    folder = tmp_path_factory.mktemp("protocols")
    for number in range(5):
        write_frames(folder / "videos" / LABELS[number % 3] / f"v{number}", number, 5 + number, (10, 13))
    (folder / "tiny.toml").write_text(CARD)
    return folder


def _graph(path: Path, rows: int, group: int = 1) -> np.ndarray:
    """Write a network of frames (rows, 3, 8, 8) whose logits are averaged over ``group`` rows; return its weights."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(1).normal(0, 2, (3 * SIZE * SIZE, CLASSES)).astype(np.float32) / SIZE
    constants = {"w": weights, "flat": np.array([rows, -1]), "groups": np.array([-1, group, CLASSES])}
    nodes = [
        helper.make_node("Reshape", ["input", "flat"], ["x"]),
        helper.make_node("MatMul", ["x", "w"], ["y" if group > 1 else "output"]),
    ]
    if group > 1:
        nodes.append(helper.make_node("Reshape", ["y", "groups"], ["z"]))
        nodes.append(helper.make_node("ReduceMean", ["z"], ["output"], axes=[1], keepdims=0))
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [rows, 3, SIZE, SIZE])
    made = helper.make_tensor_value_info("output", TensorProto.FLOAT, [rows // group, CLASSES])
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "frames", [given], [made], initializers)
    opset = helper.make_opsetid("", 11)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=6), str(path))
    return weights


def _words(root: Path, *sets: str) -> List[str]:
    return ["--model", str(root / "tiny.toml"), *(word for entry in sets for word in ("--set", entry)), "--quiet"]


def _batches(root: Path, place: Path, *sets: str) -> Manifest:
    data = ["--video-path", str(root / "videos"), "--annotation-path", str(root / "videos")]
    assert preprocess([*_words(root, *sets), *data, "--output", str(place / "batches"), "--workers", "1"]) == 0
    return read_manifest(place / "batches")


def _logits(place: Path, manifest: Manifest, weights: np.ndarray, per: int) -> List[np.ndarray]:
    """Return the logits of each video, (its rows, classes), averaged over ``per`` frames."""
    values = [np.fromfile(place / "batches" / file.name, np.float32) for file in manifest.files]
    frames = np.stack([value.reshape(-1, 3 * SIZE * SIZE) for value in values]).astype(np.float64) @ weights
    clips = frames.reshape(len(values), manifest.tensor.clips, -1, CLASSES).mean(axis=2)
    rows = [np.stack([clips[clip.file, clip.slot] for clip in video.slots()]) for video in manifest.videos]
    return [row.reshape(-1, per, CLASSES).mean(axis=1) for row in rows]


def _chain(root: Path, place: Path, soc: str, engine: str, *sets: str) -> Dict[str, Any]:
    """Export, convert, infer and count; return accuracy.json."""
    words, env = _words(root, *sets), environment() if soc != "cpu" else None
    graph = ["--checkpoint", str(place / "net.onnx"), "--output", str(place / "graph")]
    assert export([*words, *graph]) == 0
    compiled = ["--graph", str(place / "graph"), "--soc", soc, "--output", str(place / soc)]
    run = ["--compiled", str(place / soc), "--batches", str(place / "batches"), "--output", str(place / engine)]
    run += ["--engine", engine]
    if env is None:
        assert convert([*words, *compiled]) == 0
        done = stage("infer", *run)
    else:
        done = stage("convert", *words, *compiled, env=env)
        assert done.returncode == 0, done.stderr
        done = stage("infer", *run, env=env)
    assert done.returncode == 0, done.stderr
    counted = ["--batches", str(place / "batches"), "--scores", str(place / engine), "--output", str(place / "out")]
    assert postprocess([*words, *counted, "-k", "3"]) == 0
    return json.loads((place / "out" / "accuracy.json").read_text())


def _expect(place: Path, manifest: Manifest, logits: List[np.ndarray]) -> None:
    """Compare val.json with the mean of the probabilities of each video's rows."""
    found = json.loads((place / "out" / "val.json").read_text())["results"]
    shares = [np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True) for rows in logits]
    for name, rows in zip([video.id for video in manifest.videos], shares):
        mine = {entry["label"]: entry["score"] for entry in found[name]}
        np.testing.assert_allclose([mine[label] for label in LABELS], rows.mean(axis=0), atol=2e-3, err_msg=name)


@pytest.mark.parametrize(("soc", "engine"), [("cpu", "openvino"), ("Ascend310P3", "ais_bench")])
def test_tsm_takes_frames_as_batch(root: Path, tmp_path: Path, soc: str, engine: str) -> None:
    manifest = _batches(root, tmp_path)
    assert str(manifest.tensor) == "input float32 8x3x8x8 NCHW (4 frames an item)"
    assert [len(video.clips) for video in manifest.videos] == [3] * 5
    weights = _graph(tmp_path / "net.onnx", 8, 4)
    found = _chain(root, tmp_path, soc, engine)
    assert read_record(tmp_path / soc / "model.json", CompiledRecord, "").inputs[0].frames == 4
    assert found["view"]["top-1"]["total"] == 15
    assert found["clip"]["top-1"]["total"] == found["video"]["top-1"]["total"] == 5
    _expect(tmp_path, manifest, _logits(tmp_path, manifest, weights, 1))


def test_the_consensus_may_be_left_to_postprocess(root: Path, tmp_path: Path) -> None:
    sets = ["scores.rows=frame", "clips.twice=true", "transform.crop=center-floor"]
    manifest = _batches(root, tmp_path, *sets)
    weights = _graph(tmp_path / "net.onnx", 8)
    found = _chain(root, tmp_path, "cpu", "openvino", *sets)
    assert found["origin"]["consensus"] == 4
    assert found["clip"]["top-1"]["total"] == 10
    _expect(tmp_path, manifest, _logits(tmp_path, manifest, weights, 1))


@pytest.mark.parametrize("average", [True, False], ids=["averaged in the graph", "rows per view"])
def test_all_views_of_a_video_are_one_item(root: Path, tmp_path: Path, average: bool) -> None:
    """TSN: 3 crops of 4 segments are 12 frames an item, whose logits the graph averages."""
    sets = ["input.fold=KT", "input.batch=2", f"export.average_clips={str(average).lower()}"]
    manifest = _batches(root, tmp_path, *sets)
    assert str(manifest.tensor) == "input float32 24x3x8x8 NCHW (3 views x 4 frames an item)"
    assert len(manifest.files) == 3
    weights = _graph(tmp_path / "net.onnx", 24, 12 if average else 4)
    found = _chain(root, tmp_path, "cpu", "openvino", *sets)
    assert found["origin"]["rows"] == ("video" if average else "clip")
    _expect(tmp_path, manifest, _logits(tmp_path, manifest, weights, 3 if average else 1))


_CLIPS = {
    "slowfast, its slow path cut in the graph": (
        *("clips.sampler=mmaction2-0x", "clips.interval=2", "clips.count=2", "transform.crop=mmaction2-three"),
        "input.layout=NCTHW",
    ),
    "x3d": (
        *("clips.sampler=mmaction2-1x", "clips.rate=30", "clips.interval=3", "clips.count=2", "dataset.rate=25"),
        *("transform.crop=mmaction2-three", "input.layout=NCTHW"),
    ),
    "timesformer": (
        *("clips.sampler=pyslowfast", "clips.rate=30", "clips.interval=2", "dataset.rate=30", "input.layout=NTCHW"),
        *("transform.crop=pyslowfast-three", "transform.rounding=ratio", "transform.kernel=torch-linear-float"),
    ),
}


@pytest.mark.parametrize("network", _CLIPS)
def test_networks_of_clips(root: Path, tmp_path: Path, network: str) -> None:
    slow = network.startswith("slowfast")
    first = [4, 3] if "NTCHW" in " ".join(_CLIPS[network]) else [3, 4]
    sets = [*_CLIPS[network], "input.fold=", f"input.shape={[*first, SIZE, SIZE]}", "atc.input_format=NCDHW"]
    manifest = _batches(root, tmp_path, *sets)
    weights = _clip_graph(tmp_path / "net.onnx", [2, *first, SIZE, SIZE], slow)
    found = _chain(root, tmp_path, "cpu", "openvino", *sets)
    views = 3 if network == "timesformer" else 6
    assert (found["view"]["top-1"]["total"], found["clip"]["top-1"]["total"]) == (5 * views, 5 * views // 3)
    values = np.stack([np.fromfile(tmp_path / "batches" / file.name, np.float32) for file in manifest.files])
    clips = values.reshape(len(values) * 2, *first, SIZE, SIZE).astype(np.float64)
    shown = clips[:, :, [0, 2]] if slow else clips
    logits = (shown.reshape(len(shown), -1) @ weights).reshape(len(values), 2, CLASSES)
    rows = [np.stack([logits[clip.file, clip.slot] for clip in video.slots()]) for video in manifest.videos]
    _expect(tmp_path, manifest, rows)


def _clip_graph(path: Path, shape: List[int], slow: bool) -> np.ndarray:
    """Write a linear network of clips, with ``slow`` of every second frame alone; return its weights."""
    from onnx import TensorProto, helper, numpy_helper

    inputs = int(np.prod(shape[1:])) // (2 if slow else 1)
    weights = np.random.default_rng(2).normal(0, 1, (inputs, CLASSES)).astype(np.float32) / SIZE
    constants = {"w": weights, "flat": np.array([shape[0], -1]), "every": np.array([0, 2])}
    cut = [helper.make_node("Gather", ["input", "every"], ["slow"], axis=2)] if slow else []
    nodes = [
        *cut,
        helper.make_node("Reshape", ["slow" if slow else "input", "flat"], ["x"]),
        helper.make_node("MatMul", ["x", "w"], ["output"]),
    ]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
    made = helper.make_tensor_value_info("output", TensorProto.FLOAT, [shape[0], CLASSES])
    used = [name for name in constants if slow or name != "every"]
    graph = helper.make_graph(nodes, "clips", [given], [made], [numpy_helper.from_array(constants[n], n) for n in used])
    opset = helper.make_opsetid("", 11)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=6), str(path))
    return weights


def test_what_does_not_fold_is_refused(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for sets, words in (
        (["input.layout=NTCHW"], "has an axis for them"),
        (["input.fold=KT", "clips.sampler=windows", "clips.stride=4"], "takes the same number of clips of every video"),
        (["input.fold=W"], "expected one of: , T, KT"),
    ):
        data = ["--video-path", str(root / "videos"), "--annotation-path", str(root / "videos")]
        assert preprocess([*_words(root, *sets), *data]) == 2
        assert words in capfd.readouterr().err
