"""Checkpoints: what is read, what is refused, and what the refusal says."""

import os
import pickle
import re
from dataclasses import asdict

import numpy as np
import pytest
import torch

from clip2om.export.entries import read_options
from clip2om.export.pytorch.checkpoint import load_weights, read_checkpoint
from clip2om.export.pytorch.families import network_of, options_of
from clip2om.export.pytorch.networks import FAMILIES, build_network, make_network
from clip2om.pipeline import cards
from clip2om.pipeline.card import Model
from clip2om.pipeline.errors import RequestError
from tests.export import golden

DEMO = cards.load("3d_resnet_demo")
CLIP = (3, 16, 64, 64)
# Small networks of each family, with parameters other than a card's.
SMALL = {
    "resnet3d": {"depth": 50, "shortcut": "A", "widen_factor": 0.125, "stem_width": 4, "conv1_t_size": 3},
    "resnet2p1d": {"depth": 18, "widen_factor": 0.125, "conv1_t_size": 3},
    "preresnet": {"depth": 34, "widen_factor": 0.125, "shortcut": "A"},
    "wideresnet": {"depth": 50, "widen_factor": 0.125, "stem_width": 64},
    "resnext": {"depth": 101, "widen_factor": 0.25, "cardinality": 8},
    "densenet": {"depth": 121, "widen_factor": 0.25, "stem_width": 8},
    "c3d": {"widen_factor": 0.0625},
    "r2plus1d": {"depth": 34, "widen_factor": 0.125},
}


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def small(network, classes=7, **options):
    return Model("pytorch", network, classes, arguments={**SMALL[network], **options})


def weights_of(network, clip=CLIP, **options):
    return make_network(small(network, **options), clip).state_dict()


def demo_net(**options):
    model = {"depth": 10, "widen_factor": 0.125, "conv1_t_size": 3, **options}
    return make_network(Model("pytorch", "resnet3d", model.pop("classes", 8), arguments=model), CLIP)


def save(tmp_path, content, **options):
    path = tmp_path / "checkpoint.pth"
    torch.save(content, path, **options)
    return path


def refusal(path, card=DEMO):
    with pytest.raises(RequestError) as caught:
        load_weights(build_network(card), path, card)
    line = caught.value.line()
    assert str(path) in line and "\n" not in line and caught.value.exit_code == 2
    return line


def same(network, weights):
    state = network.state_dict()
    return all(torch.equal(state[name], value.to(state[name].dtype)) for name, value in weights.items())


def test_container_with_wrapper_prefix_is_read(checkpoint, weights):
    assert same(load_weights(build_network(DEMO), checkpoint, DEMO), weights)
    assert read_checkpoint(checkpoint).arch == "resnet-10"


@pytest.mark.parametrize("zipped", [True, False])
def test_bare_state_dict_is_read_in_both_file_formats(tmp_path, weights, zipped):
    path = save(tmp_path, weights, _use_new_zipfile_serialization=zipped)
    assert same(load_weights(build_network(DEMO), path, DEMO), weights)


def test_half_precision_weights_become_float32(tmp_path, weights):
    halves = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    network = load_weights(build_network(DEMO), save(tmp_path, halves), DEMO)
    assert same(network, halves) and network.conv1.weight.dtype == torch.float32


def test_old_checkpoints_need_no_batch_counts(tmp_path, weights):
    old = {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}
    assert same(load_weights(build_network(DEMO), save(tmp_path, old), DEMO), old)


def test_optimizer_and_scheduler_states_are_tolerated(tmp_path, weights):
    network = build_network(DEMO)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    content = {"state_dict": weights, "optimizer": optimizer.state_dict(), "scheduler": plateau.state_dict()}
    assert same(load_weights(network, save(tmp_path, content), DEMO), weights)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_malicious_pickle_is_refused_and_not_run(tmp_path, weights, protocol):
    path, trap = tmp_path / "evil.pth", tmp_path / "trap"
    path.write_bytes(pickle.dumps({"state_dict": Payload(trap)}, protocol=protocol))
    refusal(path)
    assert not trap.exists()
    pickle.loads(path.read_bytes())  # the trap works where nobody refuses
    assert trap.exists()


def test_malicious_object_in_a_real_checkpoint_is_named(tmp_path, weights):
    trap = tmp_path / "trap"
    line = refusal(save(tmp_path, {"state_dict": weights, "extra": Payload(trap)}))
    assert (
        f"refused: to load it is to run {open.__module__}.open" in line
        and "torch.save(model.state_dict(), FILE)" in line
    )
    assert not trap.exists()


def test_whole_module_is_refused_by_name(tmp_path):
    assert "ResidualNet, which is no weight" in refusal(save(tmp_path, build_network(DEMO)))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_torchscript_archive_is_refused(tmp_path):
    path = tmp_path / "script.pt"
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path))
    assert "is a TorchScript archive" in refusal(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_file_is_refused(tmp_path, weights, zipped):
    path = save(tmp_path, weights, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:-5000])
    assert "is cut short at" in refusal(path)


def test_empty_file_is_refused(tmp_path):
    path = tmp_path / "empty.pth"
    path.touch()
    assert "is cut short at 0 bytes" in refusal(path)


@pytest.mark.parametrize("content", [b"hello\n", b"<html>404</html>", b"\xff\xd8\xff\xe0" + bytes(99), bytes(300)])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    assert "is not a PyTorch checkpoint" in refusal(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "an object of type list"),
        ({}, "an empty dict"),
        ({"model": {"a": 1}}, "a dict with the keys 'model'"),
        ({"state_dict": 3, "epoch": 1}, "a dict with the keys 'state_dict', 'epoch'"),
        ({1: torch.zeros(1)}, "a dict with the keys 1"),
    ],
)
def test_file_without_a_state_dict_is_refused(tmp_path, content, words):
    assert f"holds no state dict but {words}" in refusal(save(tmp_path, content))


def test_wrapper_prefix_on_some_names_only(tmp_path, weights):
    mixed = {f"module.{name}" if "layer1" in name else name: value for name, value in weights.items()}
    assert same(load_weights(build_network(DEMO), save(tmp_path, mixed), DEMO), weights)


class Command(Payload):
    """Runs a shell command when it is unpickled: from a module that PyTorch blocks as a whole."""

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_command_in_a_checkpoint_is_named_and_not_run(tmp_path, weights):
    trap = tmp_path / "trap"
    line = refusal(save(tmp_path, {"state_dict": weights, "extra": Command(trap)}))
    assert "refused: to load it is to run posix.system" in line
    assert not trap.exists()


def test_values_that_are_not_finite_are_refused(tmp_path, weights):
    broken = {**weights, "layer3.0.bn1.bias": torch.full_like(weights["layer3.0.bn1.bias"], float("nan"))}
    assert "layer3.0.bn1.bias holds NaN or infinite values" in refusal(save(tmp_path, broken))


def test_quantised_weights_are_refused(tmp_path, weights):
    path = save(tmp_path, {**weights, "fc.weight": weights["fc.weight"].to(torch.int8)})
    assert "fc.weight is int8 8x64, expected 8x64" in refusal(path)


@pytest.mark.parametrize(
    ("options", "sets"),
    [
        ({"depth": 18}, "--set model.arguments.depth=18"),
        ({"classes": 400}, "--set model.classes=400"),
        ({"shortcut": "A"}, "--set model.arguments.shortcut=A"),
        ({"widen_factor": 0.25}, "--set model.arguments.widen_factor=0.25"),
        ({"conv1_t_size": 7}, "--set model.arguments.conv1_t_size=7"),
        ({"stem_width": 5}, "--set model.arguments.stem_width=5"),
        (
            {"depth": 50, "shortcut": "A", "classes": 51},
            "--set model.arguments.depth=50 --set model.arguments.shortcut=A --set model.classes=51",
        ),
    ],
)
def test_wrong_network_is_named_with_the_entries_that_fit(tmp_path, options, sets):
    network = demo_net(**options)
    path = save(tmp_path, network.state_dict())
    line = refusal(path)
    assert line.endswith(f"; use {sets}")
    overrides = [word for word in sets.split() if word != "--set"]
    fitting = cards.load("3d_resnet_demo", overrides)
    assert same(load_weights(build_network(fitting), path, fitting), network.state_dict())


def test_first_differing_names_and_shapes_are_shown(tmp_path):
    network = demo_net(depth=18, conv1_t_size=7)
    line = refusal(save(tmp_path, network.state_dict()))
    assert "unexpected: layer1.1.conv1.weight, layer1.1.bn1.weight, layer1.1.bn1.bias and 37 more" in line
    assert "different: conv1.weight is 8x3x7x7x7, expected 8x3x3x7x7" in line
    network = demo_net(shortcut="A")
    assert "missing: layer2.0.downsample.0.weight" in refusal(save(tmp_path, network.state_dict()))


def test_options_that_no_card_can_give_are_not_proposed(tmp_path):
    network = make_network(DEMO.model, (2, 16, 64, 64))
    line = refusal(save(tmp_path, network.state_dict()))
    assert "no card entry makes it fit: it takes 2 channels, input.shape has 3" in line


def test_contradicting_arch_is_refused(tmp_path, weights):
    line = refusal(save(tmp_path, {"arch": "resnet-18", "state_dict": weights}))
    assert "arch is 'resnet-18'" in line and "the weights fit and arch does not" in line
    assert "arch is 'preresnet-10'" in refusal(save(tmp_path, {"arch": "preresnet-10", "state_dict": weights}))


def test_arch_of_private_naming_is_not_judged(tmp_path, weights):
    path = save(tmp_path, {"arch": "my network", "state_dict": weights})
    assert same(load_weights(build_network(DEMO), path, DEMO), weights)


@pytest.mark.parametrize("network", SMALL)
def test_families_and_their_parameters_are_read_from_names_and_shapes(network):
    state = weights_of(network)
    assert network_of(state) == network
    found, model = options_of(state, network), small(network)
    expected = asdict(read_options(FAMILIES[network].options, model, network))
    assert found == {key: expected[key] for key in found}
    assert set(SMALL[network]) <= set(found) | {"shortcut"}


@pytest.mark.parametrize("name", golden.NAMES)
def test_golden_state_dicts_are_recognised(name):
    description, _ = golden.load(name)
    state = {key: torch.empty(shape, device="meta") for key, shape, _ in description["params"]}
    model = golden.model_of(name)
    wanted = asdict(read_options(FAMILIES[model.network].options, model, name))
    assert network_of(state) == model.network
    found = options_of(state, model.network)
    assert found == {key: wanted[key] for key in found}


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"conv1_s.weight": torch.zeros(1)},
        {"backbone.conv1a.conv.weight": torch.zeros(1)},
        {"fc.weight": torch.zeros(())},
        {name: value[..., 0] if value.dim() == 5 else value for name, value in demo_net().state_dict().items()},
    ],
)
def test_incomplete_and_flat_networks_are_none_of_them(state):
    assert network_of(state) is None


@pytest.mark.parametrize("network", [name for name in SMALL if name != "resnet3d"])
def test_another_family_is_named(tmp_path, network):
    line = refusal(save(tmp_path, weights_of(network)))
    assert "does not fit card 3d_resnet_demo (resnet-10, shortcut B, 8 classes)" in line
    assert "unexpected: " in line
    titles = {
        "resnet2p1d": "a (2+1)D ResNet-18 of the 3D-ResNets, shortcut B, 7 classes",
        "preresnet": "a pre-activation 3D ResNet-34, shortcut A, 7 classes",
        "wideresnet": "a wide 3D ResNet-50, shortcut B, stem of 64, 7 classes",
        "resnext": "a 3D ResNeXt-101, shortcut B, 7 classes",
        "densenet": "a 3D DenseNet-121, stem of 8, 7 classes",
        "c3d": "a C3D, 7 classes",
        "r2plus1d": "an R(2+1)D-34 of GluonCV, 7 classes",
    }
    assert f"it seems to be {titles[network]};" in line


def test_names_of_strangers_say_what_they_are(tmp_path):
    flat = {f"layer1.{number}.conv1.weight": torch.zeros(8, 8, 3, 3) for number in range(2)}
    assert "a network of 2-D convolutions, which takes images and no clips" in refusal(save(tmp_path, flat))
    paddle = {"backbone.conv1a._conv.weight": torch.zeros(4, 3, 3, 3, 3)}
    assert "under the names of PaddleC3D; use a card with model.framework paddle" in refusal(save(tmp_path, paddle))
    mindspore = {"bn1.bn2d.gamma": torch.zeros(4)}
    assert "under the names of MindSpore; use a card with model.framework" in refusal(save(tmp_path, mindspore))
    assert "none of the networks c3d, densenet, " in refusal(save(tmp_path, {"a": torch.zeros(4)}))


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_sports_1m_backbone_is_refused(tmp_path, prefix):
    state = weights_of("c3d")
    backbone = {
        f"{prefix}{name.removeprefix('backbone.')}": value
        for name, value in state.items()
        if name.startswith("backbone.")
    }
    line = refusal(save(tmp_path, {"meta": {}, "state_dict": backbone}))
    assert "the backbone of a C3D alone, without its classifier (cls_head.fc_cls)" in line and "fine-tune it" in line


def test_densenet_of_2018_is_read_under_its_old_names(tmp_path):
    state = weights_of("densenet")
    old = {}
    for name, value in state.items():
        name = name.replace("features.conv1.", "features.conv0.").replace("features.norm1.", "features.norm0.")
        for part in ("norm1", "conv1", "norm2", "conv2"):
            name = re.sub(rf"(denselayer\d+)\.{part}\.", rf"\1.{part[:4]}.{part[4]}.", name)
        old[f"module.{name}"] = value
    assert "module.features.denseblock1.denselayer1.norm.1.weight" in old and "module.features.conv0.weight" in old
    found = read_checkpoint(save(tmp_path, {"state_dict": old, "arch": "densenet-121"})).state
    assert list(found) == list(state)
    assert all(torch.equal(found[name], value.to(found[name].dtype)) for name, value in state.items())


def test_container_of_mmaction2_is_read(tmp_path):
    state = weights_of("c3d")
    meta = {"mmaction_version": "0.24.0", "CLASSES": ("a", "b"), "epoch": 45, "config": "model = dict()"}
    found = read_checkpoint(save(tmp_path, {"meta": meta, "state_dict": state, "optimizer": {"state": {}}}))
    assert list(found.state) == list(state) and found.arch is None


def paddle_file(path):
    arrays = {"backbone.conv1a._conv.weight": np.zeros((2, 3, 3, 3, 3), np.float32)}
    path.write_bytes(pickle.dumps({**arrays, "StructuredToParameterName@@": {"a": "b"}}, protocol=4))


def mindspore_file(path):
    tag, tensor = b"conv1.weight", b"\x08\x01\x12\x07Float32\x1a\x04" + bytes(4)
    value = b"\x0a" + bytes([len(tag)]) + tag + b"\x12" + bytes([len(tensor)]) + tensor
    path.write_bytes(b"\x0a" + bytes([len(value)]) + value)


def tensorflow_index(path):
    path.write_bytes(bytes(100) + bytes.fromhex("57fb808b247547db"))


def tensorflow_data(path):
    path.write_bytes(bytes(100))


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("c3d.pdparams", paddle_file, "seems to be a Paddle file, expected a PyTorch checkpoint"),
        ("renamed.pth", paddle_file, "seems to be a Paddle file, expected a PyTorch checkpoint"),
        ("resnet.ckpt", mindspore_file, "seems to be a MindSpore file, expected a PyTorch checkpoint"),
        ("train.ckpt-39.index", tensorflow_index, "seems to be a TensorFlow file, expected a PyTorch checkpoint"),
        ("renamed.pth", tensorflow_index, "seems to be a TensorFlow file, expected a PyTorch checkpoint"),
        ("train.ckpt-39.data-00000-of-00001", tensorflow_data, "seems to be a TensorFlow file"),
    ],
)
def test_files_of_other_frameworks_are_named(tmp_path, name, write, words):
    write(tmp_path / name)
    line = refusal(tmp_path / name)
    assert words in line and "use " in line
