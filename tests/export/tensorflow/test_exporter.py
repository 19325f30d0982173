"""``python -m export`` of a TensorFlow checkpoint as its user sees it, then convert and OpenVINO on the graph."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import pytest
import tensorflow as tf

from clip2om.convert.__main__ import main as convert_main
from clip2om.export import parity
from clip2om.export.__main__ import main as export_main
from clip2om.export.checkpoint_files import tensorflow_files
from clip2om.export.frameworks import FRAMEWORKS
from clip2om.export.request import ExportRequest
from clip2om.export.tensorflow import frozen
from clip2om.export.tensorflow.exporter import export_graph, load_graph, load_network, measure
from clip2om.pipeline.card import Card
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError, ShortfallError
from clip2om.pipeline.records import GraphRecord, read_record
from tests.command import refused, stage
from tests.export.tensorflow import small

CLIPS = 7
STATISTICS = ("transform.scale=255.0", "transform.mean=[0.4,0.5,0.6]", "transform.std=[0.2,0.3,0.4]")


Done = subprocess.CompletedProcess


def call(main: Callable[[List[str]], int], *args: object) -> Done:
    """Run a stage in this process, where TensorFlow is loaded already."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main([str(arg) for arg in args])
    return Done(list(args), code, out.getvalue(), err.getvalue())


def export(checkpoint: Path, output: Path, *more: object) -> Done:
    return call(export_main, "--model", "c3d_tf", "--checkpoint", checkpoint, "--output", output, *more)


def export_alone(checkpoint: Path, output: Path, *more: object, **variables: str) -> Done:
    """Export in a process of its own, in an environment that does not keep TensorFlow quiet."""
    given = ["--model", "c3d_tf", "--checkpoint", checkpoint, "--output", output]
    bare = {name: value for name, value in os.environ.items() if name not in FRAMEWORKS["tensorflow"].environment}
    return stage("export", *given, *more, env={**bare, **variables})


def done(process: Done) -> Done:
    assert process.returncode == 0, process.stdout + process.stderr
    return process


def graph_of(folder: Path) -> Any:
    return frozen.parse((folder / "model.pb").read_bytes())


def request(checkpoint: Path, output: Path, card: Card, batch: int = -1, dtype: str = "float32") -> ExportRequest:
    files = tensorflow_files(checkpoint)
    return ExportRequest(card, files.path, files.digest(), output, "pb", batch, dtype, 11, 1e-4)


def pixels(batch: int = CLIPS) -> np.ndarray:
    shape = (batch, small.FRAMES, small.SIDE, small.SIDE, 3)
    return np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8)


def own_logits(values: np.ndarray) -> np.ndarray:
    """Return what TensorFlow itself gives for normalised clips."""
    net = small.network()
    return net.logits(tf.constant(values), small.weights(net)).numpy()


def openvino(graph: Path, output: Path, feeds: Dict[str, np.ndarray], *more: str) -> Dict[str, np.ndarray]:
    """Compile an exported graph for the CPU with the convert stage, and run it."""
    batch = len(next(iter(feeds.values())))
    given = ["--model", "c3d_tf", "--graph", graph, "--output", output, "--soc", "cpu", "--batch", batch]
    done(call(convert_main, *given, *more))
    import openvino as library

    compiled: Any = library.Core().compile_model(str(output / "model.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled(feeds)
    return {port.get_any_name(): results[port] for port in compiled.outputs}


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Tuple[Path, Done]:
    folder = tmp_path_factory.mktemp("graph")
    return folder, done(export_alone(checkpoint, folder, *small.plain()))


def test_export_says_what_it_wrote_and_tensorflow_says_nothing(exported: Any, checkpoint: Path) -> None:
    folder, process = exported
    lines = process.stdout.splitlines()
    assert lines[0].startswith(f"graph   {folder / 'model.pb'} (")
    assert lines[1:3] == ["input   batch_clips float32 2x8x32x32x3 NTHWC", "output  C3D/out/BiasAdd float32 2x5 NC"]
    assert lines[3].startswith("parity  TensorFlow eager: largest difference ") and lines[3].endswith("(4 clips)")
    assert [line for line in process.stderr.splitlines() if not line.startswith("export: ")] == []
    record = read_record(folder / "model.json", GraphRecord, "")
    assert (record.format, record.opset, record.checkpoint) == ("pb", 0, str(checkpoint))
    assert record.checkpoint_sha256 == tensorflow_files(checkpoint).digest()
    assert "numpy" in record.versions and any(name.startswith("tensorflow") for name in record.versions)
    assert 1 < record.parity.max_abs < 100
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "model.json", "model.pb"]


def test_graph_has_plain_operators_and_nothing_newer_than_tensorflow_1_15(exported: Any) -> None:
    definition = graph_of(exported[0])
    kinds = {node.op for node in definition.node}
    assert kinds == {"Placeholder", "Const", "Conv3D", "BiasAdd", "Relu", "MaxPool3D", "Reshape", "MatMul"}
    # As TensorFlow 1.15 registers it; a later attribute would be refused by what reads graphs with that release.
    (matmul,) = {tuple(sorted(node.attr)) for node in definition.node if node.op == "MatMul"}
    assert [name for name in matmul if not name.startswith("_")] == ["T", "transpose_a", "transpose_b"]
    assert {node.op for node in definition.node if "Variable" in node.op} == set()


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001", None])
def test_second_export_changes_nothing_however_the_checkpoint_is_named(
    exported: Any, checkpoint: Path, suffix: str | None
) -> None:
    folder, _ = exported
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    given = checkpoint.parent if suffix is None else Path(f"{checkpoint}{suffix}")
    process = done(export(given, folder, *small.plain()))
    assert process.stdout == f"{folder / 'model.pb'} is up to date\n"
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.parametrize(("options", "batch"), [(["--batch", CLIPS], CLIPS), (["--dynamic-batch"], -1)])
def test_openvino_gives_tensorflow_s_own_predictions(
    checkpoint: Path, tmp_path: Path, options: List[Any], batch: int
) -> None:
    done(export(checkpoint, tmp_path / "graph", *small.plain(), *options))
    record = read_record(tmp_path / "graph" / "model.json", GraphRecord, "")
    assert (record.inputs[0].batch, record.outputs[0].batch) == (batch, batch)
    values = pixels().astype(np.float32)
    found = openvino(tmp_path / "graph", tmp_path / "ir", {"batch_clips": values})
    expected = own_logits(values)
    assert expected.max() > 1
    np.testing.assert_allclose(found["C3D/out/BiasAdd"], expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("statistics", [STATISTICS, ()])
@pytest.mark.parametrize("with_volume", [False, True])
def test_graph_of_pixels_normalises_them(
    checkpoint: Path, tmp_path: Path, statistics: Tuple[str, ...], with_volume: bool
) -> None:
    volume = small.volume(tmp_path / "mean.npy") if with_volume else None
    name = tmp_path / "mean.npy" if with_volume else ""
    given = small.options(f"transform.mean_volume={name}", *statistics)
    done(export(checkpoint, tmp_path / "graph", *given, "--input-dtype", "uint8", "--dynamic-batch"))
    record = read_record(tmp_path / "graph" / "model.json", GraphRecord, "")
    assert str(record.inputs[0]) == "batch_clips uint8 Nx8x32x32x3 NTHWC"
    kinds = {node.op for node in graph_of(tmp_path / "graph").node}
    assert ("Sub" in kinds) == (with_volume or bool(statistics))
    assert ("Mul" in kinds) == bool(statistics)
    transform = small.card(*statistics).transform
    batch = pixels()
    values = batch.astype(np.float32) / np.float32(transform.scale)
    mean = volume if volume is not None else np.array(transform.mean, np.float32)
    expected = own_logits((values - mean) / np.array(transform.std, np.float32))
    found = load_graph(tmp_path / "graph" / "model.pb")(batch)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
    again = openvino(tmp_path / "graph", tmp_path / "ir", {"batch_clips": batch})["C3D/out/BiasAdd"]
    np.testing.assert_allclose(again, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_mean_volume_alone_is_subtracted_to_the_bit(checkpoint: Path, tmp_path: Path) -> None:
    volume = small.volume(tmp_path / "mean.npy")
    card = small.card(f"transform.mean_volume={tmp_path / 'mean.npy'}")
    export_graph(request(checkpoint, tmp_path / "graph", card, dtype="uint8"), Console("export", True))
    found = load_graph(tmp_path / "graph" / "model.pb")(pixels())
    assert np.array_equal(found, own_logits(pixels().astype(np.float32) - volume))


def test_other_mean_volume_is_another_graph(checkpoint: Path, tmp_path: Path) -> None:
    small.volume(tmp_path / "mean.npy")
    given = [*small.options(f"transform.mean_volume={tmp_path / 'mean.npy'}"), "--input-dtype", "uint8"]
    done(export(checkpoint, tmp_path / "graph", *given))
    assert "up to date" in done(export(checkpoint, tmp_path / "graph", *given)).stdout
    np.save(tmp_path / "mean.npy", np.load(tmp_path / "mean.npy") + 1)
    assert "up to date" not in done(export(checkpoint, tmp_path / "graph", *given)).stdout


@pytest.mark.parametrize(
    ("shape", "dtype", "words"),
    [
        ((8, 3, 32, 32), "float32", "holds float32 (8, 3, 32, 32), expected float32 (8, 32, 32, 3)"),
        ((8, 32, 32, 3), "float64", "holds float64 (8, 32, 32, 3), expected float32"),
        (None, "", "cannot be read"),
    ],
)
def test_mean_volume_that_is_none(
    checkpoint: Path, tmp_path: Path, shape: Tuple[int, ...] | None, dtype: str, words: str
) -> None:
    path = tmp_path / "mean.npy"
    np.save(path, np.zeros(shape, dtype)) if shape else path.write_bytes(b"no array")
    card = small.card(f"transform.mean_volume={path}")
    with pytest.raises(RequestError) as caught:
        export_graph(request(checkpoint, tmp_path / "graph", card), Console("export", True))
    assert str(path) in str(caught.value) and words in str(caught.value)


def test_dropout_of_the_published_graph_is_said_and_everything_else_compared(checkpoint: Path, tmp_path: Path) -> None:
    process = done(
        export(checkpoint, tmp_path / "graph", *small.plain("model.arguments.dropout=true"), "--dynamic-batch")
    )
    (warning,) = [line for line in process.stderr.splitlines() if "dropout" in line]
    assert "the graph gives other scores at every run" in warning
    assert "parity  TensorFlow eager, both without dropout: largest difference" in process.stdout
    values = pixels().astype(np.float32)
    graph = load_graph(tmp_path / "graph" / "model.pb")
    first, second = graph(values), graph(values)
    assert np.abs(first - second).max() > 0.1
    definition = frozen.without_dropout(graph_of(tmp_path / "graph"))
    ((without,),) = frozen.run(definition, ["C3D/out/BiasAdd"], [{"batch_clips": values}])
    np.testing.assert_allclose(without, own_logits(values), rtol=1e-5, atol=1e-5)
    # OpenVINO takes it too, and gives the random numbers of its own.
    found = openvino(tmp_path / "graph", tmp_path / "ir", {"batch_clips": values})["C3D/out/BiasAdd"]
    assert np.abs(found - without).max() > 0.1


def test_batch_accuracy_as_published(checkpoint: Path, tmp_path: Path) -> None:
    given = small.plain("export.batch_accuracy=true")
    process = done(export(checkpoint, tmp_path / "graph", *given, "--batch", CLIPS))
    assert process.stdout.splitlines()[1:5] == [
        "input   batch_clips float32 7x8x32x32x3 NTHWC",
        "input   batch_labels int32 7x5 NC",
        "output  C3D/out/BiasAdd float32 7x5 NC",
        "output  output float32 scalar",
    ]
    values = pixels().astype(np.float32)
    scores = own_logits(values)
    labels = np.eye(small.CLASSES, dtype=np.int32)[(scores.argmax(axis=1) + (np.arange(CLIPS) < 3)) % small.CLASSES]
    feeds = {"batch_clips": values, "batch_labels": labels}
    definition = graph_of(tmp_path / "graph")
    ((found, accuracy),) = frozen.run(definition, ["C3D/out/BiasAdd", "output"], [feeds])
    np.testing.assert_allclose(found, scores, rtol=1e-5, atol=1e-5)
    assert accuracy == pytest.approx(4 / 7)
    again = openvino(tmp_path / "graph", tmp_path / "ir", feeds)
    assert again["output"] == pytest.approx(4 / 7)


def test_accuracy_that_is_not_that_of_the_scores_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    card = small.card("export.batch_accuracy=true")
    asked = request(checkpoint, tmp_path / "graph", card)
    export_graph(asked, Console("export", True))
    path = tmp_path / "graph" / "model.pb"
    definition = graph_of(path.parent)
    (labels,) = [node for node in definition.node if node.name == "accuracy/labels"]
    labels.input[0], labels.attr["T"].type = "C3D/out/BiasAdd", tf.float32.as_datatype_enum
    path.write_bytes(definition.SerializeToString())
    with pytest.raises(ShortfallError, match="the graph gives the accuracy 1, its scores have"):
        measure(load_network(asked), path, asked, None)


def test_softmax_and_another_output_name(checkpoint: Path, tmp_path: Path) -> None:
    values = pixels().astype(np.float32)
    logits = own_logits(values)
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    for overrides, expected in ((["export.softmax=true", "scores.activation=none"], probabilities), ([], logits)):
        folder = tmp_path / f"graph{len(overrides)}"
        done(export(checkpoint, folder, *small.plain("export.output_name=scores", *overrides), "--dynamic-batch"))
        assert read_record(folder / "model.json", GraphRecord, "").outputs[0].name == "scores"
        np.testing.assert_allclose(load_graph(folder / "model.pb")(values), expected, rtol=1e-4, atol=1e-4)


def test_network_of_a_request_takes_normalised_clips_of_any_number(checkpoint: Path, tmp_path: Path) -> None:
    network = load_network(request(checkpoint, tmp_path, small.card(), batch=2, dtype="uint8"))
    values = pixels().astype(np.float32)
    assert np.array_equal(network(values), own_logits(values))


def test_drift_is_refused_with_exit_1_and_leaves_nothing(checkpoint: Path, tmp_path: Path) -> None:
    asked = request(checkpoint, tmp_path / "graph", small.card())
    export_graph(asked, Console("export", True))
    path = tmp_path / "graph" / "model.pb"
    definition = graph_of(path.parent)
    (bias,) = [node for node in definition.node if node.name == "C3D/out/biases"]
    bias.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.ones(small.CLASSES, np.float32)))
    path.write_bytes(definition.SerializeToString())
    assert measure(load_network(asked), path, asked, None).max_abs_diff > 0.5
    process = export(
        checkpoint,
        tmp_path / "none",
        *small.plain(),
        "--max-diff",
        "0",
        "--input-dtype",
        "uint8",
        "--set",
        "transform.scale=7.0",
    )
    assert process.returncode == 1
    assert "the graph differs from TensorFlow eager by" in process.stderr and "Traceback" not in process.stderr
    assert [path.name for path in (tmp_path / "none").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--format", "onnx"], "format is 'onnx', tensorflow checkpoints are exported to pb"),
        (["--set", "model.classes=6"], "it seems to be a C3D of 5 classes; use --set model.classes=5"),
        (["--set", "input.name=two words"], "'two words' cannot be the name of a node"),
        (["--set", "export.output_name=batch_clips"], "two nodes of the graph would be called 'batch_clips'"),
        (
            ["--set", "export.softmax=true", "--set", "scores.activation=none"],
            "two nodes of the graph would be called 'C3D/out/BiasAdd'",
        ),
    ],
)
def test_wrong_requests_are_one_line(checkpoint: Path, tmp_path: Path, more: List[str], words: str) -> None:
    refused(export(checkpoint, tmp_path, *small.plain(), *more), words)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"] or not list(tmp_path.iterdir())


def test_checkpoint_without_its_data_is_refused_before_tensorflow_is_loaded(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "c.index").write_bytes(Path(f"{checkpoint}.index").read_bytes())
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise SystemError('loaded')")
    process = export_alone(tmp_path / "c", tmp_path / "graph", *small.plain(), PYTHONPATH=str(tmp_path))
    refused(process, "c.data-00000-of-00001 missing, only c.index there")
    refused(export(tmp_path / "d", tmp_path / "graph", *small.plain()), "no such checkpoint", str(tmp_path / "d"))


def test_probe_clips_differ_from_clip_to_clip() -> None:
    spec = small.card().input_spec(-1, "uint8")
    batches = parity.probe_batches(spec)
    assert [len(batch) for batch in batches] == [1, 3]
    logits = own_logits(np.concatenate(batches).astype(np.float32))
    assert len({tuple(row) for row in logits.round(3).tolist()}) == 4
