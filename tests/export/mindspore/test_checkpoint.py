"""MindSpore's checkpoints: what is read, what is refused, what the refusal says; and the names of the other side."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Dict, List

import mindspore
import numpy as np
import pytest

from clip2om.export.checkpoint import main
from clip2om.export.mindspore.checkpoint import load_weights, read_checkpoint, write_checkpoint
from clip2om.export.mindspore.names import mindspore_from_pytorch
from clip2om.export.mindspore.networks import build_network
from clip2om.pipeline.errors import RequestError
from tests.command import refused, stage
from tests.export.mindspore import small


def same(network: mindspore.nn.Cell, values: Dict[str, np.ndarray]) -> bool:
    parameters = {parameter.name: parameter.asnumpy() for parameter in network.get_parameters()}
    return list(parameters) == list(values) and all(np.array_equal(parameters[key], values[key]) for key in values)


def weights(kind: str = "resnet3d") -> Dict[str, np.ndarray]:
    return small.weights(build_network(small.card(kind)), kind)


def load(path: Path, *overrides: str, kind: str = "resnet3d") -> mindspore.nn.Cell:
    card = small.card(kind, *overrides)
    return load_weights(build_network(card), path, card)


def refusal(path: Path, *overrides: str, kind: str = "resnet3d") -> str:
    with pytest.raises(RequestError) as caught:
        load(path, *overrides, kind=kind)
    line = caught.value.line()
    assert str(path) in line and "\n" not in line and caught.value.exit_code == 2
    return line


@pytest.mark.parametrize("kind", small.CARDS)
def test_checkpoint_is_read_in_the_networks_order(checkpoints: Dict[str, Path], kind: str) -> None:
    assert same(load(checkpoints[kind], kind=kind), weights(kind))
    assert list(read_checkpoint(checkpoints[kind])) == list(weights(kind))


def test_what_training_leaves_is_tolerated(tmp_path: Path) -> None:
    training = {"epoch_num": 7, "learning_rate": 0.1, "note": "text"}
    path = small.save(tmp_path / "a.ckpt", "resnet3d", append_dict=training)
    assert same(load(path), weights())
    moments = {f"moments.{name}": np.zeros_like(value) for name, value in weights().items()}
    write_checkpoint({**weights(), **moments, "momentum": np.float32(0.9).reshape(())}, tmp_path / "b.ckpt")
    assert same(load(tmp_path / "b.ckpt"), weights())


def test_checksum_is_checked_where_there_is_one(tmp_path: Path) -> None:
    path = small.save(tmp_path / "a.ckpt", "resnet3d", crc_check=True)
    assert same(load(path), weights())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    assert "its checksum does not match; copy it again" in refusal(path)


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    halves = {name: value.astype(np.float16) for name, value in weights().items()}
    write_checkpoint(halves, tmp_path / "a.ckpt")
    assert same(load(tmp_path / "a.ckpt"), {name: value.astype(np.float32) for name, value in halves.items()})


def test_names_with_blanks_and_other_letters_are_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "größer als x" / "a b.ckpt"
    write_checkpoint(weights(), path)
    assert same(load(path), weights()) and path.stat().st_mode & 0o777 == 0o644


def test_files_of_others_are_refused_by_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "torch.ckpt", "w") as archive:
        archive.writestr("archive/data.pkl", b"weights")
    (tmp_path / "pickle.ckpt").write_bytes(pickle.dumps({"weight": 1}))
    (tmp_path / "text.ckpt").write_text("no weights " * 100)
    (tmp_path / "empty.ckpt").touch()
    (tmp_path / "hdf.ckpt").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert "is a PyTorch checkpoint" in refusal(tmp_path / "torch.ckpt")
    assert "make checkpoint FROM=FILE.pth TO=FILE.ckpt" in refusal(tmp_path / "pickle.ckpt")
    assert "is not a MindSpore checkpoint" in refusal(tmp_path / "text.ckpt")
    assert "is empty" in refusal(tmp_path / "empty.ckpt")
    assert "is an HDF5 file" in refusal(tmp_path / "hdf.ckpt")


def test_graphs_of_mindspore_are_no_checkpoints(checkpoints: Dict[str, Path], tmp_path: Path) -> None:
    from clip2om.export.mindspore.graph_files import write_graph

    request = small.request("resnet3d", checkpoints["resnet3d"], tmp_path)
    write_graph(small.network("resnet3d"), request.input, tmp_path / "model.mindir")
    graph = (tmp_path / "model.mindir").rename(tmp_path / "model.ckpt")
    assert "checkpoint" in refusal(graph)


def test_pickle_is_not_run(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self):
            return open, (str(tmp_path / "trap"), "w")

    path = tmp_path / "evil.ckpt"
    for protocol in (0, 2, 4):
        path.write_bytes(pickle.dumps({"conv1.weight": Payload()}, protocol=protocol))
        refusal(path)
    assert not (tmp_path / "trap").exists()
    pickle.loads(path.read_bytes())  # the trap works where nobody refuses
    assert (tmp_path / "trap").exists()


@pytest.mark.parametrize("left", [20, 1000, -20])
def test_truncated_file_is_refused(checkpoints: Dict[str, Path], tmp_path: Path, left: int) -> None:
    data = checkpoints["resnet3d"].read_bytes()[:left]
    (tmp_path / "cut.ckpt").write_bytes(data)
    assert f"is cut short at {len(data)} bytes" in refusal(tmp_path / "cut.ckpt")


def test_file_cut_between_two_entries_lacks_the_rest(checkpoints: Dict[str, Path], tmp_path: Path) -> None:
    some = dict(list(weights().items())[:-2])
    write_checkpoint(some, tmp_path / "a.ckpt")
    assert "missing: fc.weight, fc.bias" in refusal(tmp_path / "a.ckpt")


def test_another_suffix_is_told_to_be_renamed(checkpoints: Dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(checkpoints["resnet3d"].read_bytes())
    assert "rename the file to *.ckpt" in refusal(path)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ("model.arguments.depth=18",),
            ["missing: layer1.1.conv1.weight", "resnet3d of depth 10", "use --set model.arguments.depth=10"],
        ),
        (("model.classes=7",), ["fc.weight is 5x32, expected 7x32", "5 classes", "use --set model.classes=5"]),
        (
            ("model.arguments.widen_factor=0.125",),
            ["different: conv1.weight is 4x3x3x7x7", "--set model.arguments.widen_factor=0.0625"],
        ),
        (("model.arguments.conv1_t_size=7",), ["use --set model.arguments.conv1_t_size=3"]),
    ],
)
def test_misfits_name_the_entry_that_mends_them(
    checkpoints: Dict[str, Path], overrides: tuple, words: List[str]
) -> None:
    line = refusal(checkpoints["resnet3d"], *overrides)
    for word in words:
        assert word in line, line


def test_another_network_is_named(checkpoints: Dict[str, Path]) -> None:
    assert "choose a card of r2plus1d" in refusal(checkpoints["r2plus1d"])
    assert "choose a card of resnet3d" in refusal(checkpoints["resnet3d"], kind="r2plus1d")


def test_extra_and_foreign_entries_are_named(tmp_path: Path) -> None:
    write_checkpoint({**weights(), "head.weight": np.zeros(3, np.float32)}, tmp_path / "a.ckpt")
    assert "unexpected: head.weight" in refusal(tmp_path / "a.ckpt")
    write_checkpoint({"weight": np.zeros(3, np.float32)}, tmp_path / "b.ckpt")
    assert "it is neither resnet3d nor r2plus1d" in refusal(tmp_path / "b.ckpt")


def test_pytorch_names_in_a_mindspore_file_are_told(tmp_path: Path) -> None:
    names = {name.replace(".bn2d.moving_mean", ".running_mean"): value for name, value in weights().items()}
    write_checkpoint(names, tmp_path / "a.ckpt")
    assert "its names are PyTorch's: make checkpoint" in refusal(tmp_path / "a.ckpt")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    spoiled = weights()
    spoiled["fc.bias"][2] = value
    write_checkpoint(spoiled, tmp_path / "a.ckpt")
    assert "fc.bias holds NaN or infinite values" in refusal(tmp_path / "a.ckpt")


@pytest.mark.parametrize("kind", small.CARDS)
def test_round_trip_through_pytorchs_names_is_bit_exact(
    checkpoints: Dict[str, Path], tmp_path: Path, kind: str
) -> None:
    card = small.options(kind)
    assert main([str(checkpoints[kind]), str(tmp_path / "a.npz"), *card]) == 0
    with np.load(tmp_path / "a.npz") as arrays:
        theirs = dict(arrays)
    assert "bn1.running_mean" in theirs and theirs["bn1.num_batches_tracked"] == 0
    assert list(mindspore_from_pytorch(theirs)[0]) == list(weights(kind))
    assert main([str(tmp_path / "a.npz"), str(tmp_path / "b.ckpt"), *card]) == 0
    assert (tmp_path / "b.ckpt").read_bytes() == checkpoints[kind].read_bytes()


def test_every_entry_is_converted_or_listed(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = small.save(tmp_path / "a.ckpt", "resnet3d", append_dict={"epoch_num": 3})
    moments = {f"moments.{name}": value for name, value in weights().items()}
    write_checkpoint({**read_checkpoint(path), **moments}, tmp_path / "b.ckpt")
    assert main([str(tmp_path / "b.ckpt"), str(tmp_path / "c.npz"), *small.options("resnet3d")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{tmp_path / 'c.npz'}: 74 entries"
    assert lines[1].endswith(f"keeps no such thing: epoch_num, {len(moments)} x moments")
    assert main([str(tmp_path / "c.npz"), str(tmp_path / "d.ckpt"), *small.options("resnet3d")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{tmp_path / 'd.ckpt'}: {len(moments)} entries"
    assert lines[1].endswith("keeps no such thing: 12 x num_batches_tracked")


def test_without_pytorch_the_command_that_has_it_is_named(checkpoints: Dict[str, Path], tmp_path: Path) -> None:
    done = stage("export.checkpoint", checkpoints["resnet3d"], tmp_path / "a.pth", *small.options("resnet3d"))
    refused(done, "not installed: torch", f"make checkpoint FROM={checkpoints['resnet3d']} TO={tmp_path / 'a.pth'}")


@pytest.mark.parametrize("prefix", ["network.", "network._backbone.", "_backbone."])
def test_prefixes_are_found(tmp_path: Path, prefix: str) -> None:
    write_checkpoint({prefix + name: value for name, value in weights().items()}, tmp_path / "a.ckpt")
    assert same(load(tmp_path / "a.ckpt"), weights())


@pytest.mark.parametrize("name", ["loss_scaling_manager.scale", "exp_avg.conv1.weight", "ema.steps", "scale_sense"])
def test_entries_of_training_are_left_behind(tmp_path: Path, name: str) -> None:
    write_checkpoint({**weights(), name: np.ones(1, np.float32)}, tmp_path / "a.ckpt")
    assert same(load(tmp_path / "a.ckpt"), weights())


def test_safetensors_of_mindspore_are_read(tmp_path: Path) -> None:
    entries = [{"name": name, "data": mindspore.Tensor(value)} for name, value in weights().items()]
    mindspore.save_checkpoint(entries, str(tmp_path / "a"), format="safetensors")
    assert same(load(tmp_path / "a.safetensors"), weights())
