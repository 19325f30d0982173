"""Checkpoint names in PyTorch and MindSpore: the rules on the golden lists, and the command between .pth and .npz."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List

import numpy as np
import pytest
import torch

from clip2om.export.checkpoint import main
from clip2om.export.mindspore.names import mindspore_from_pytorch, pytorch_from_mindspore
from clip2om.export.mindspore.recognition import describe
from clip2om.export.pytorch.networks import build_network
from tests import networks
from tests.command import refused, stage
from tests.export.pytorch import small

# PyTorch's network, MindSpore's, and their card.
PAIRS = [
    ("resnet-50", "ms-resnet3d-50-c51", "resnet3d_mindspore"),
    ("gluon-r2plus1d-34", "ms-r2plus1d-34", "r2plus1d_mindspore"),
]
COUNT = "num_batches_tracked"


def params(name: str) -> Dict[str, tuple]:
    return {key: tuple(shape) for key, shape, _ in networks.load(name)[0]["params"]}


def state(name: str) -> Dict[str, np.ndarray]:
    return {key: networks.weight(name, key, shape) for key, shape in params(name).items()}


def left_out(found: dict) -> dict:
    """Return a list of parameters without the classifier, whose size differs within a pair."""
    return {key: value for key, value in found.items() if not key.startswith("fc.")}


@pytest.mark.parametrize(("theirs", "ours", "_"), PAIRS)
def test_names_and_order_become_mindspores(theirs: str, ours: str, _: str) -> None:
    renamed, dropped = mindspore_from_pytorch(params(theirs))
    assert list(renamed) == list(params(ours))
    assert left_out(renamed) == left_out(params(ours))
    assert dropped == [key for key in params(theirs) if key.endswith(COUNT)]


@pytest.mark.parametrize(("theirs", "ours", "_"), PAIRS)
def test_names_and_order_become_pytorchs(theirs: str, ours: str, _: str) -> None:
    renamed, dropped = pytorch_from_mindspore(params(ours), ())
    assert (list(renamed), dropped) == (list(params(theirs)), [])
    assert left_out(renamed) == left_out(params(theirs))


def test_there_and_back_is_the_same_and_passes_values_on() -> None:
    original = {key: object() for key in params("resnet-50")}
    count = object()
    there, _ = mindspore_from_pytorch(original)
    back, _ = pytorch_from_mindspore(there, count)
    assert list(back) == list(original)
    assert all(value is (count if key.endswith(COUNT) else original[key]) for key, value in back.items())


def test_what_training_leaves_is_dropped_and_other_names_are_kept() -> None:
    leftovers = ["epoch_num", "learning_rate", "moments.conv1.weight", "moment1.bn1.bn2d.gamma", "global_step"]
    found, dropped = pytorch_from_mindspore(dict.fromkeys(["conv1.weight", "head.weight", *leftovers], 1), 0)
    assert (list(found), dropped) == (["conv1.weight", "head.weight"], leftovers)


def test_incomplete_batch_norm_keeps_what_it_has() -> None:
    found, _ = mindspore_from_pytorch({"bn1.running_var": 3, "bn1.weight": 1})
    assert found == {"bn1.bn2d.moving_variance": 3, "bn1.bn2d.gamma": 1}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet-50", "resnet3d of depth 50, shortcut B, 51 classes"),
        ("resnet-18-A", "resnet3d of depth 18, shortcut A, 51 classes"),
        ("resnet-18-w025", "resnet3d of depth 18, shortcut B, width x 0.25, 8 classes"),
        ("ms-resnet3d-50-c101", "resnet3d of depth 50, shortcut B, 101 classes"),
        ("gluon-r2plus1d-34", "r2plus1d of depth 34, 400 classes"),
        ("ms-r2plus1d-18", "r2plus1d of depth 18, 101 classes"),
        ("resnet2p1d-18", "None"),
        ("densenet-121", "None"),
        ("c3d-mmaction", "None"),
    ],
)
def test_networks_are_recognised_by_names_of_either_side(name: str, words: str) -> None:
    assert str(describe(params(name))) == words


@pytest.mark.parametrize("card", ["preresnet", "wideresnet", "resnext", "r2plus1d", "densenet"])
def test_relatives_of_a_resnet_are_not_taken_for_one(card: str) -> None:
    """Most of them have the same names: only the shapes tell."""
    found = {name: tuple(value.shape) for name, value in build_network(small.card(card)).state_dict().items()}
    assert describe(found) is None
    assert describe(mindspore_from_pytorch(found)[0]) is None


def run(*args: object) -> int:
    return main([str(arg) for arg in args])


@pytest.fixture(scope="module")
def weights() -> Dict[str, np.ndarray]:
    return state("resnet-18-w025")


CARD = ["--model", "resnet3d_mindspore", "--set", "model.arguments.depth=18", "--set", "model.classes=8"]
CARD += ["--set", "model.arguments.widen_factor=0.25"]


def test_round_trip_through_npz_is_bit_exact(
    weights: Dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    wrapped = {f"module.{key}": torch.from_numpy(value) for key, value in weights.items()}
    torch.save({"arch": "resnet-18", "state_dict": wrapped, "optimizer": {"state": {}}}, tmp_path / "a.pth")
    assert run(tmp_path / "a.pth", tmp_path / "b.npz", *CARD) == 0
    with np.load(tmp_path / "b.npz") as arrays:
        assert list(arrays) == list(weights)
        assert all(arrays[key].tobytes() == value.tobytes() for key, value in weights.items())
    assert run(tmp_path / "b.npz", tmp_path / "c.pth", *CARD) == 0
    found = torch.load(tmp_path / "c.pth", weights_only=True)["state_dict"]
    assert list(found) == list(weights)
    assert all(torch.equal(found[key], torch.from_numpy(value)) for key, value in weights.items())
    assert capsys.readouterr() == (f"{tmp_path / 'b.npz'}: 122 entries\n{tmp_path / 'c.pth'}: 122 entries\n", "")
    first = (tmp_path / "b.npz").read_bytes(), (tmp_path / "c.pth").read_bytes()
    assert run(tmp_path / "c.pth", tmp_path / "b.npz", *CARD) == run(tmp_path / "b.npz", tmp_path / "c.pth", *CARD) == 0
    assert ((tmp_path / "b.npz").read_bytes(), (tmp_path / "c.pth").read_bytes()) == first


def test_other_depth_or_classes_are_converted_and_said(
    weights: Dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    np.savez(tmp_path / "a.npz", **weights)
    assert run(tmp_path / "a.npz", tmp_path / "b.pth", "--model", "resnet3d_mindspore") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(
        "give the stages --set model.arguments.depth=18 --set model.classes=8 --set model.arguments.widen_factor=0.25"
    )


def _files(folder: Path, weights: Dict[str, np.ndarray]) -> None:
    np.savez(folder / "good.npz", **weights)
    np.savez(folder / "objects.npz", a=np.array([{}], dtype=object))
    (folder / "cut.npz").write_bytes((folder / "good.npz").read_bytes()[:-1000])
    (folder / "text.npz").write_text("weights")
    np.savez(folder / "other.npz", **{"conv1.weight": np.zeros((4, 3, 7, 7), np.float32)})
    torch.save({"state_dict": {"conv1.weight": print}}, folder / "evil.pth")


@pytest.mark.parametrize(
    ("source", "target", "card", "words"),
    [
        ("none.npz", "b.pth", "", ["none.npz", "no such checkpoint"]),
        ("good.npz", "b.npz", "", ["b.npz", "same kind"]),
        ("good.npz", "b.bin", "", ["b.bin", "a file .bin, expected .pth, .pt, .ckpt, .npz"]),
        (
            "good.npz",
            "b.ckpt",
            "",
            ["not installed: mindspore", "make checkpoint FROM=", "b.ckpt MODEL="],
        ),
        ("objects.npz", "b.pth", "", ["objects.npz", "holds Python objects, which are not read"]),
        ("cut.npz", "b.pth", "", ["cut.npz", "or cut short"]),
        ("text.npz", "b.pth", "", ["text.npz", "is not a .npz of weights"]),
        ("other.npz", "b.pth", "", ["other.npz", "neither of the networks", "is of resnet3d", "check --model"]),
        ("good.npz", "b.pth", "r2plus1d_mindspore", ["resnet3d of depth 18", "r2plus1d_mindspore is of r2plus1d"]),
        ("good.npz", "b.pth", "c3d_paddle", ["is a card of network c3d", "resnet3d and r2plus1d"]),
        ("evil.pth", "b.npz", "", ["evil.pth", "refused: to load it is to run"]),
    ],
)
def test_wrong_requests_are_one_line_and_write_nothing(
    weights: Dict[str, np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    source: str,
    target: str,
    card: str,
    words: List[str],
) -> None:
    _files(tmp_path, weights)
    before = sorted(tmp_path.iterdir())
    assert run(tmp_path / source, tmp_path / target, "--model", card or "resnet3d_mindspore") == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    for word in words:
        assert word in line, line
    assert sorted(tmp_path.iterdir()) == before


def test_help_loads_no_framework() -> None:
    done = stage("export.checkpoint", "--help")
    assert done.returncode == 0 and "python -m export.checkpoint save_700.pth weights.npz" in done.stdout
    refused(stage("export.checkpoint"), "required: FROM, TO")
