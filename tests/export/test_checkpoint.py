"""Checkpoints: what is read, what is refused, and what the refusal says."""

import os
import pickle

import pytest
import torch

from export.pytorch.checkpoint import load_weights, read_checkpoint
from export.pytorch.networks import build_network
from export.pytorch.recognition import family_of
from export.pytorch.resnet3d import ResNet3d
from pipeline import card as cards
from pipeline.errors import RequestError
from tests.export import golden

DEMO = cards.load("3d_resnet_demo")


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


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


def test_exactly_one_prefix_is_stripped(tmp_path, weights):
    path = save(tmp_path, {f"module.module.{name}": value for name, value in weights.items()})
    assert "unexpected: module.conv1.weight" in refusal(path)


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
    assert "refused: to load it is to run io.open" in line and "torch.save(model.state_dict(), FILE)" in line
    assert not trap.exists()


def test_whole_module_is_refused_by_name(tmp_path):
    assert "ResNet3d, which is no weight" in refusal(save(tmp_path, build_network(DEMO)))


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
        ({"model": {"a": torch.zeros(1)}}, "a dict with the keys 'model'"),
        ({"state_dict": 3, "epoch": 1}, "a dict with the keys 'state_dict', 'epoch'"),
        ({1: torch.zeros(1)}, "a dict with the keys 1"),
        ({"state_dict": {"a": torch.zeros(1), "n": 3}}, "a dict whose entry 'n' is of type int"),
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
        ({"depth": 18}, "--set model.depth=18"),
        ({"classes": 400}, "--set model.classes=400"),
        ({"shortcut": "A"}, "--set model.shortcut=A"),
        ({"widen_factor": 0.25}, "--set model.widen_factor=0.25"),
        ({"conv1_t_size": 7}, "--set model.conv1_t_size=7"),
        (
            {"depth": 50, "shortcut": "A", "classes": 51},
            "--set model.depth=50 --set model.shortcut=A --set model.classes=51",
        ),
    ],
)
def test_wrong_network_is_named_with_the_entries_that_fit(tmp_path, options, sets):
    network = ResNet3d(**{"depth": 10, "classes": 8, "widen_factor": 0.125, "conv1_t_size": 3, **options})
    path = save(tmp_path, network.state_dict())
    line = refusal(path)
    assert line.endswith(f"; use {sets}")
    overrides = [word for word in sets.split() if word != "--set"]
    fitting = cards.load("3d_resnet_demo", overrides)
    assert same(load_weights(build_network(fitting), path, fitting), network.state_dict())


def test_first_differing_names_and_shapes_are_shown(tmp_path):
    network = ResNet3d(18, 8, widen_factor=0.125, conv1_t_size=7)
    line = refusal(save(tmp_path, network.state_dict()))
    assert "unexpected: layer1.1.conv1.weight, layer1.1.bn1.weight, layer1.1.bn1.bias and 45 more" in line
    assert "different: conv1.weight is 8x3x7x7x7, expected 8x3x3x7x7" in line
    network = ResNet3d(10, 8, shortcut="A", widen_factor=0.125, conv1_t_size=3)
    assert "missing: layer2.0.downsample.0.weight" in refusal(save(tmp_path, network.state_dict()))


def test_options_that_no_card_can_give_are_not_proposed(tmp_path):
    network = ResNet3d(10, 8, channels=2, widen_factor=0.125, conv1_t_size=3)
    assert refusal(save(tmp_path, network.state_dict())).endswith(
        "no card entry makes it fit; check --checkpoint and --model"
    )


def test_contradicting_arch_is_refused(tmp_path, weights):
    line = refusal(save(tmp_path, {"arch": "resnet-18", "state_dict": weights}))
    assert "arch is 'resnet-18'" in line and "the weights fit and arch does not" in line
    assert "arch is 'preresnet-10'" in refusal(save(tmp_path, {"arch": "preresnet-10", "state_dict": weights}))


def test_arch_of_private_naming_is_not_judged(tmp_path, weights):
    path = save(tmp_path, {"arch": "my network", "state_dict": weights})
    assert same(load_weights(build_network(DEMO), path, DEMO), weights)


def shapes(**values):
    base = {
        "conv1.weight": (64, 3, 7, 7, 7),
        "layer1.0.conv1.weight": (64, 64, 1, 1, 1),
        "layer1.0.conv2.weight": (64, 64, 3, 3, 3),
        "layer1.0.conv3.weight": (256, 64, 1, 1, 1),
        "layer2.0.conv1.weight": (128, 256, 1, 1, 1),
        "layer2.0.bn1.weight": (128,),
        "layer4.0.conv2.weight": (512, 512, 3, 3, 3),
        "fc.weight": (51, 2048),
    }
    return {name: torch.empty(shape, device="meta") for name, shape in {**base, **values}.items()}


@pytest.mark.parametrize(
    ("state", "family"),
    [
        (shapes(), "resnet"),
        (shapes(**{"layer2.0.bn1.weight": (256,)}), "preresnet"),
        (shapes(**{"layer1.0.conv3.weight": (128, 64, 1, 1, 1)}), "wideresnet"),
        (shapes(**{"layer1.0.conv2.weight": (64, 2, 3, 3, 3)}), "resnext"),
        (shapes(**{"conv1_s.weight": (110, 3, 1, 7, 7)}), "resnet2p1d"),
        (shapes(**{"features.conv0.weight": (64, 3, 7, 7, 7)}), "densenet"),
        (shapes(**{"conv1.weight": (64, 3, 7, 7)}), None),
        (shapes(**{"fc.weight": ()}), None),
        ({}, None),
    ],
)
def test_families_are_told_apart_by_their_shapes(state, family):
    assert family_of(state) == family


def test_another_family_is_named(tmp_path, weights):
    path = save(tmp_path, {**weights, "conv1_s.weight": torch.zeros(1)})
    assert "it seems to be a resnet2p1d of the 3D-ResNets family; choose a card of that network" in refusal(path)
    path = save(tmp_path, {"backbone.conv1a.conv.weight": torch.zeros(1)})
    assert "it seems to be no network of the 3D-ResNets family" in refusal(path)


@pytest.mark.parametrize("name", golden.NAMES)
def test_golden_state_dicts_are_recognised(name):
    description, _ = golden.load(name)
    state = {key: torch.empty(shape, device="meta") for key, shape, _ in description["params"]}
    assert family_of(state) == "resnet"
