"""Checkpoints as TensorFlow's Saver writes them, whole and broken, and files of other frameworks."""

from __future__ import annotations

import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from clip2om.export.checkpoint_files import CheckpointFiles, tensorflow_files
from clip2om.export.tensorflow.checkpoint import load_weights
from clip2om.pipeline.errors import RequestError
from tests.export.tensorflow import small


def load(prefix: Path, *overrides: str) -> dict:
    return load_weights(small.network(*overrides), prefix, small.card(*overrides))


def refused(prefix: Path, *overrides: str) -> str:
    with pytest.raises(RequestError) as caught:
        load(tensorflow_files(prefix).path, *overrides)
    line = caught.value.line()
    assert line.startswith(str(prefix)), line
    return line


def named(prefix: Path) -> str:
    with pytest.raises(RequestError) as caught:
        tensorflow_files(prefix)
    return caught.value.line()


@pytest.mark.parametrize("resource", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_weights_come_back_without_what_training_alone_needs(tmp_path: Path, resource: bool, training: bool) -> None:
    values = small.weights(small.network())
    found = load(small.save(tmp_path / "c", values, resource, training))
    assert list(found) == list(values)
    assert all(np.array_equal(found[name], value) and found[name].dtype == np.float32 for name, value in values.items())


@pytest.mark.parametrize("dtype", [np.float64, np.float16, tf.bfloat16.as_numpy_dtype])
def test_other_float_types_are_taken(tmp_path: Path, dtype: type) -> None:
    values = small.weights(small.network())
    found = load(small.save(tmp_path / "c", {name: value.astype(dtype) for name, value in values.items()}))
    assert all(np.array_equal(found[name], value.astype(dtype).astype(np.float32)) for name, value in values.items())


@pytest.mark.parametrize("resource", [False, True])
def test_one_class_more_is_refused(tmp_path: Path, resource: bool) -> None:
    prefix = small.save(tmp_path / "c", small.weights(small.network("model.classes=6")), resource)
    line = refused(prefix)
    assert "C3D/out/weights is 256x6, expected 256x5, C3D/out/biases is 6, expected 5" in line
    assert line.endswith("it seems to be a C3D of 6 classes; use --set model.classes=6")
    assert load(prefix, "model.classes=6")


def test_wider_network_and_other_clips(tmp_path: Path) -> None:
    wide = small.save(tmp_path / "wide", small.weights(small.network("model.arguments.widen_factor=0.125")))
    line = refused(wide)
    assert "a C3D of 5 classes, widen factor 0.125; use --set model.arguments.widen_factor=0.125" in line
    assert "and 18 more" in line
    larger = (f"input.shape={[8, 64, 64, 3]}", "transform.size=64", "transform.resize=64")
    other = small.save(tmp_path / "other", small.weights(small.network(*larger)))
    assert "C3D/fc6/weights is 128x256, expected 32x256" in refused(other)
    assert "the size of its clips" in refused(other)


def test_missing_and_extra_variables_are_listed(tmp_path: Path) -> None:
    values = small.weights(small.network())
    del values["C3D/fc7/biases"]
    values["C3D/fc8/weights"] = np.ones((3, 3), np.float32)
    line = refused(small.save(tmp_path / "c", values))
    assert "missing: C3D/fc7/biases; unexpected: C3D/fc8/weights" in line
    foreign = small.save(tmp_path / "foreign", {"var_name/wc1": np.ones((3, 3), np.float32)})
    assert "it seems to be no network with the node C3D/out/BiasAdd; check --checkpoint and --model" in refused(foreign)


def test_object_based_checkpoint_of_tensorflow_2(tmp_path: Path) -> None:
    path = tf.train.Checkpoint(weights=tf.Variable([1.0])).save(str(tmp_path / "objects"))
    assert "tf.train.Checkpoint" in refused(Path(path)) and "tf.compat.v1.train.Saver" in refused(Path(path))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    values = small.weights(small.network())
    values["C3D/conv3/bias"][1] = value
    assert "C3D/conv3/bias holds NaN or infinite values" in refused(small.save(tmp_path / "c", values))


def test_weights_of_another_type(tmp_path: Path) -> None:
    values = small.weights(small.network())
    values["C3D/conv3/bias"] = values["C3D/conv3/bias"].astype(np.int32)
    assert "C3D/conv3/bias is int32, expected float32" in refused(small.save(tmp_path / "c", values))


def test_every_way_to_name_it(checkpoint: Path, tmp_path: Path) -> None:
    folder = checkpoint.parent
    data = folder / "train.ckpt-39.data-00000-of-00001"
    whole = CheckpointFiles(checkpoint, (folder / "train.ckpt-39.index", data))
    for name in ("", ".index", ".data-00000-of-00001", ".meta"):
        assert tensorflow_files(folder / f"train.ckpt-39{name}") == whole
    assert tensorflow_files(folder) == whole
    # Copied from another machine: the file names the folder that training used.
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    (moved / "checkpoint").write_text('model_checkpoint_path: "/home/me/models/train.ckpt-39"\n')
    assert tensorflow_files(moved).path == moved / "train.ckpt-39"
    assert tensorflow_files(moved).digest() == whole.digest()


def test_digest_covers_index_and_data_and_not_the_name(checkpoint: Path, tmp_path: Path) -> None:
    before = tensorflow_files(checkpoint).digest()
    for suffix in (".index", ".data-00000-of-00001"):
        for part in (".index", ".data-00000-of-00001"):
            shutil.copy(f"{checkpoint}{part}", tmp_path / f"copy{part}")
        assert tensorflow_files(tmp_path / "copy").digest() == before
        with open(tmp_path / f"copy{suffix}", "ab") as stream:
            stream.write(b"x")
        assert tensorflow_files(tmp_path / "copy").digest() != before


def test_first_format_of_the_saver_is_one_file(tmp_path: Path) -> None:
    values = small.weights(small.network())
    path = tmp_path / "old.ckpt"
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, value in values.items():
            tf.compat.v1.get_variable(name, initializer=value, use_resource=False)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver(write_version=tf.compat.v1.train.SaverDef.V1).save(session, str(path))
    assert tensorflow_files(path) == CheckpointFiles(path, (path,))
    found = load(path)
    assert all(np.array_equal(found[name], value) for name, value in values.items())


def test_several_data_files(tmp_path: Path) -> None:
    values = small.weights(small.network())
    prefix = small.save(tmp_path / "c", values, sharded=True)
    assert [path.name for path in tensorflow_files(prefix).files] == [
        "c.index",
        "c.data-00000-of-00002",
        "c.data-00001-of-00002",
    ]
    assert np.array_equal(load(prefix)["C3D/conv3/bias"], values["C3D/conv3/bias"])
    (tmp_path / "c.data-00001-of-00002").unlink()
    assert "c.data-00001-of-00002 missing, only c.index, c.data-00000-of-00002 there" in named(prefix)


@pytest.mark.parametrize(("lost", "kept"), [(".index", ".data-00000-of-00001"), (".data-00000-of-00001", ".index")])
def test_half_a_checkpoint_names_the_other_half(checkpoint: Path, tmp_path: Path, lost: str, kept: str) -> None:
    shutil.copy(f"{checkpoint}{kept}", tmp_path / f"c{kept}")
    for given in (tmp_path / "c", tmp_path / f"c{kept}", tmp_path / f"c{lost}"):
        assert f"c{lost} missing, only c{kept} there; a checkpoint of TensorFlow is its index and its data" in named(
            given
        )


def test_folders_that_name_no_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    assert "is a folder without a file called checkpoint" in named(tmp_path)
    (tmp_path / "a.ckpt.index").touch()
    assert f"give one: --checkpoint {tmp_path}/a.ckpt" in named(tmp_path)
    (tmp_path / "checkpoint").write_text("nothing")
    assert "checkpoint: names no checkpoint: no line model_checkpoint_path" in named(tmp_path)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "gone"')
    assert "gone.index and gone.data-00000-of-00001 missing" in named(tmp_path)
    (tmp_path / "saved_model.pb").touch()
    assert "is a SavedModel" in named(tmp_path)


def _cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize("size", [0, 100])
def test_damaged_index_and_data(checkpoint: Path, tmp_path: Path, size: int) -> None:
    for suffix, words in ((".index", "TensorFlow cannot read it"), (".data-00000-of-00001", "cannot be read (")):
        for part in (".index", ".data-00000-of-00001"):
            shutil.copy(f"{checkpoint}{part}", tmp_path / f"c{part}")
        _cut(tmp_path / f"c{suffix}", size)
        line = refused(tmp_path / "c")
        assert words in line and line.endswith("copy it again")


def _zip(path: Path, name: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"x")


def test_files_of_other_frameworks_are_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    _zip(path, "archive/data.pkl")
    assert "is a PyTorch checkpoint" in refused(path)
    _zip(path, "model.weights.h5")
    assert "is a Keras model" in refused(path)
    for content, words in (
        (b"\x89HDF\r\n\x1a\n", "weights of Keras (HDF5)"),
        (pickle.dumps({"fc": 1}), "is a pickle, as PaddlePaddle and old PyTorch write them"),
        (b"\x0a\x20\x0a\x04name\x12\x18\x08\x03\x12\x07Float32", "is a MindSpore checkpoint"),
        (b"\x0a\x10\x0a\x01x\x12\x0bPlaceholder", "is a frozen graph"),
        (b"", "is an empty file"),
        (b"weights", "is no checkpoint of TensorFlow, or a damaged one"),
    ):
        path.write_bytes(content)
        assert words in refused(path) and "check --checkpoint and --model" in refused(path)


def test_averages_are_said_and_chosen(tmp_path: Path) -> None:
    values, said = small.weights(small.network()), []
    prefix = small.save(tmp_path / "c", values, training=True)
    raw = load_weights(small.network(), prefix, small.card(), None, said.append)
    assert all(np.array_equal(raw[name], value) for name, value in values.items())
    assert "--weights average" in " ".join(said)
    mean = load_weights(small.network(), prefix, small.card(), True)
    assert all((value == 1).all() for value in mean.values())


def test_averages_alone_are_taken(tmp_path: Path) -> None:
    values, said = small.weights(small.network()), []
    prefix = small.save(tmp_path / "c", {f"{name}/ExponentialMovingAverage": value for name, value in values.items()})
    found = load_weights(small.network(), prefix, small.card(), None, said.append)
    assert all(np.array_equal(found[name], value) for name, value in values.items())
    assert "averages of the weights alone" in " ".join(said)


@pytest.mark.parametrize("scope", ["tower_0/", "model/", "outer/inner/"])
def test_scopes_are_found(tmp_path: Path, scope: str) -> None:
    values = small.weights(small.network())
    found = load(small.save(tmp_path / "c", {scope + name: value for name, value in values.items()}))
    assert all(np.array_equal(found[name], value) for name, value in values.items())


def test_entries_of_training_are_left_behind(tmp_path: Path) -> None:
    values = small.weights(small.network())
    more = {"confusion_matrix": np.ones((5, 5), np.float32), "optimizer/own": np.ones(7, np.float32)}
    found = load(small.save(tmp_path / "c", {**values, **more}))
    assert list(found) == list(values)
