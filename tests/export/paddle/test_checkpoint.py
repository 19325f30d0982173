"""Paddle's checkpoints: what is read, what is refused, and what the refusal says."""

import argparse
import datetime
import os
import pickle
import struct

import numpy as np
import paddle
import pytest

from clip2om.export.paddle.checkpoint import load_weights
from clip2om.export.paddle.networks import build_network
from clip2om.export.paddle.pdparams import read_state
from clip2om.pipeline.errors import RequestError
from tests.export.paddle import small


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.fixture
def state():
    return small.weights(build_network(small.card(*small.SINGLE)))


def save(tmp_path, content, **options):
    path = tmp_path / "weights.pdparams"
    paddle.save(content, str(path), **options)
    return path


def load(path, *overrides):
    card = small.card(*(overrides or small.SINGLE))
    return load_weights(build_network(card), path, card)


def refusal(path, *overrides):
    with pytest.raises(RequestError) as caught:
        load(path, *overrides)
    line = caught.value.line()
    assert str(path) in line and "\n" not in line and caught.value.exit_code == 2
    return line


def same(network, state):
    found = network.state_dict()
    return list(found) == list(state) and all(np.array_equal(found[name], value) for name, value in state.items())


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_every_protocol_that_paddle_writes_is_read(tmp_path, state, protocol):
    assert same(load(save(tmp_path, state, protocol=protocol)), state)


def test_arrays_pickled_by_numpy_1_are_read(tmp_path, state):
    path = save(tmp_path, state, protocol=2)
    data = path.read_bytes()
    assert b"numpy._core.multiarray" in data
    path.write_bytes(data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert same(load(path), state)


def test_half_precision_weights_become_float32(tmp_path, state):
    halves = {name: value.astype("float16") for name, value in state.items()}
    network = load(save(tmp_path, halves))
    assert same(network, {name: value.astype("float32") for name, value in halves.items()})


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_malicious_pickle_is_refused_and_not_run(tmp_path, state, protocol):
    path, trap = tmp_path / "evil.pdparams", tmp_path / "trap"
    arrays = {name: value.numpy() for name, value in state.items()}
    path.write_bytes(pickle.dumps({**arrays, "extra": Payload(trap)}, protocol=protocol))
    assert "refused: to load it is to run posix.system, which is no weight" in refusal(path)
    assert not trap.exists()
    pickle.loads(path.read_bytes())  # the trap works where nobody refuses
    assert trap.exists()


@pytest.mark.parametrize(
    "code",
    [
        b"cnumpy\nndarray.tofile\n.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy._core.multiarray\nscalar\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93.",
        b"c_codecs\nencode\n(S'a'\nS'zlib_codec'\ntR.",
        b"c_codecs\ndecode\n.",
    ],
)
def test_near_misses_of_the_allowed_globals_are_refused(tmp_path, code):
    path = tmp_path / "near.pdparams"
    path.write_bytes(code)
    assert "refused: to load it is to run" in refusal(path)


def test_optimizer_state_is_named(tmp_path):
    layer = paddle.nn.Linear(2, 2)
    for number, optimizer in enumerate(
        (
            paddle.optimizer.Momentum(paddle.optimizer.lr.StepDecay(0.1, 3), parameters=layer.parameters()),
            paddle.optimizer.Adam(parameters=layer.parameters()),
        )
    ):
        layer(paddle.ones([1, 2])).sum().backward()
        optimizer.step()
        path = tmp_path / f"{number}.pdopt"
        paddle.save(optimizer.state_dict(), str(path))
        line = refusal(path)
        assert "holds the state of an optimizer (.pdopt)" in line and "pass the .pdparams file beside it" in line


def test_pytorch_files_are_named(tmp_path):
    path = tmp_path / "torch.pth"
    path.write_bytes(b"PK\x03\x04" + bytes(300))
    assert "is a zip archive, as PyTorch writes its checkpoints, expected a .pdparams file" in refusal(path)
    path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + pickle.dumps(1001, protocol=2))
    assert "is a PyTorch checkpoint, expected" in refusal(path)
    path.write_bytes(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n.")
    line = refusal(path)
    assert "holds PyTorch objects" in line and "choose a card whose framework is pytorch" in line


@pytest.mark.parametrize("size", [0, 1, 100, 5000, -1])
def test_truncated_file_is_refused(tmp_path, state, size):
    path = save(tmp_path, state)
    data = path.read_bytes()[:size]
    path.write_bytes(data)
    assert f"is cut short at {len(data)} bytes" in refusal(path)


@pytest.mark.parametrize("content", [b"hello\n", b"<html>404</html>", b"\xff\xd8\xff\xe0" + bytes(99), bytes(300)])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.pdparams"
    path.write_bytes(content)
    assert "is not a Paddle state dict, or a damaged one" in refusal(path)


def test_inference_weights_are_named(tmp_path):
    path = tmp_path / "model.pdiparams"
    path.write_bytes(struct.pack("<IQI", 0, 0, 0) + bytes(100))
    assert "holds weights without names" in refusal(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1.0, 2.0], "an object of type list"),
        ({}, "an empty dict"),
        ({"a": 3}, "a dict whose entry 'a' is of type int"),
        ({"a": {"b": 1}}, "a dict whose entry 'a' is of type dict"),
    ],
)
def test_file_without_a_state_dict_is_refused(tmp_path, content, words):
    assert f"holds no state dict but {words}" in refusal(save(tmp_path, content))


def test_values_that_are_not_finite_are_refused(tmp_path, state):
    state["backbone.fc6.bias"][3] = float("nan")
    assert "backbone.fc6.bias holds NaN or infinite values" in refusal(save(tmp_path, state))


@pytest.mark.parametrize(
    ("changes", "sets"),
    [
        (("model.classes=101",), "--set model.classes=101"),
        (("model.arguments.widen_factor=0.125",), "--set model.arguments.widen_factor=0.125"),
        (
            ("model.arguments.widen_factor=0.03125", "model.classes=7"),
            "--set model.arguments.widen_factor=0.03125 --set model.classes=7",
        ),
    ],
)
def test_wrong_network_is_named_with_the_entries_that_fit(tmp_path, changes, sets):
    path = small.save(tmp_path / "other.pdparams", *small.SINGLE, *changes)
    line = refusal(path)
    assert line.endswith(f"; use {sets}") and "different: " in line
    overrides = [word for word in sets.split() if word not in ("--set", "use")]
    assert load(path, *small.SINGLE, *overrides)


def test_another_clip_size_is_named(tmp_path):
    sizes = ("transform.resize=64", "transform.size=64", "input.shape=[3, 16, 64, 64]")
    line = refusal(small.save(tmp_path / "other.pdparams", *small.SMALL, *sizes))
    assert "backbone.fc6.weight is 288x256, expected 128x256" in line
    assert "for clips of another size; set input.shape" in line


def test_other_networks_are_named(tmp_path, state):
    renamed = {name.replace("._conv.", ".conv."): value for name, value in state.items()}
    assert "a C3D with the names of mmaction2" in refusal(save(tmp_path, renamed))
    backbone = {name: value for name, value in state.items() if name.startswith("backbone.")}
    line = refusal(save(tmp_path, backbone))
    assert "missing: cls_head.fc_cls.weight, cls_head.fc_cls.bias" in line and "the backbone of a C3D" in line
    bare = {name[len("backbone.") :]: value for name, value in backbone.items()}
    assert "the backbone of a C3D without its classifier" in refusal(save(tmp_path, bare))
    turned = {name: value.t() if value.ndim == 2 else value for name, value in state.items()}
    assert "linear weights are (out, in), as PyTorch stores them; transpose them" in refusal(save(tmp_path, turned))
    other = paddle.vision.models.LeNet().state_dict()
    line = refusal(save(tmp_path, other))
    assert "it seems to be another network than C3D" in line and "and 19 more" in line


def test_bfloat16_is_named(tmp_path, state):
    path = save(tmp_path, {name: value.astype("bfloat16") for name, value in state.items()})
    assert read_state(path)["backbone.fc6.bias"].dtype == np.uint16
    assert "a C3D in bfloat16; save it in float32" in refusal(path)


@pytest.mark.parametrize("prefix", ["module.", "_layers.", "model.", "network.", "module.model."])
def test_prefixes_are_found(tmp_path, state, prefix):
    assert same(load(save(tmp_path, {prefix + name: value for name, value in state.items()})), state)


@pytest.mark.parametrize("key", ["model", "state_dict", "net"])
def test_containers_are_found(tmp_path, state, key):
    assert same(load(save(tmp_path, {key: state, "epoch": 3})), state)


def test_averages_are_chosen(tmp_path, state):
    mean = {name: value + 1 for name, value in state.items()}
    path, card, said = save(tmp_path, {"model": state, "ema": mean}), small.card(*small.SINGLE), []
    assert same(load_weights(build_network(card), path, card, None, said.append), state)
    assert "--weights average" in " ".join(said)
    assert same(load_weights(build_network(card), path, card, True), mean)


def test_data_beside_the_weights_are_inert(tmp_path, state):
    beside = {"args": argparse.Namespace(lr=0.1), "when": datetime.datetime(2026, 1, 2), "best": np.float64(0.5)}
    assert same(load(save(tmp_path, {"model": state, **beside})), state)


def test_what_runs_something_is_refused_in_a_stand_ins_state(tmp_path, state):
    trap = tmp_path / "trap"
    path = save(tmp_path, {"model": state, "args": argparse.Namespace(hook=Payload(trap))})
    assert "refused: to load it is to run posix.system" in refusal(path)
    assert not trap.exists()
