"""Cards written from files: what the files tell is in them, what they do not tell is marked, and they work."""

from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from clip2om.export.pytorch.checkpoint import load_weights
from clip2om.export.pytorch.networks import build_network
from clip2om.pipeline import cards
from clip2om.scripts.card.__main__ import main

CLASSES = ["打球", "run", "walk", "wave", "a b", "f", "g", "h"]


def folder_of_classes(root: Path, frames: bool = False) -> Path:
    for name in CLASSES:
        inside = root / "val" / name
        inside.mkdir(parents=True)
        if frames:
            (inside / "one").mkdir()
            for number in range(3):
                (inside / "one" / f"img_{number:04d}.jpg").write_bytes(b"")
        else:
            (inside / "one.mp4").write_bytes(b"")
    return root


def checkpoint(path: Path, *entries: str) -> Path:
    network = build_network(cards.load("3d_resnet_demo", entries))
    torch.save({"model": network.state_dict(), "epoch": 3}, path)
    return path


def test_card_from_weights_and_class_folders(tmp_path, capsys):
    source = checkpoint(tmp_path / "mine.pth")
    target = tmp_path / "mine.toml"
    data = folder_of_classes(tmp_path / "data", frames=True)
    assert main([str(source), "--videos", str(data), "--output", str(target)]) == 0
    card = cards.load(str(target))
    assert (card.model.network, card.model.arguments["depth"], card.model.classes) == ("resnet3d", 10, 8)
    assert card.class_names() == sorted(CLASSES)
    assert (card.dataset.format, card.dataset.frame_name, card.dataset.first_frame) == ("folders", "img_{:04d}.jpg", 0)
    assert card.dataset.videos == str(data.absolute())
    load_weights(build_network(card), Path(card.model.checkpoint), card)
    out = capsys.readouterr().out
    assert f"next: clip2om accuracy --model {target}" in out and "no_max_pool" in out
    text = target.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("no_max_pool") and "check" in line]


def test_classes_of_another_number_are_said(tmp_path, capsys):
    source = checkpoint(tmp_path / "mine.pth", "model.classes=5", "dataset.labels=")
    data = folder_of_classes(tmp_path / "data")
    assert main([str(source), "--videos", str(data), "--output", str(tmp_path / "mine.toml")]) == 0
    assert "has 8 class folders, the network gives 5 scores" in capsys.readouterr().err
    assert cards.load(str(tmp_path / "mine.toml")).labels() == []


def test_card_that_is_there_is_kept(tmp_path, capsys):
    source = checkpoint(tmp_path / "mine.pth")
    (tmp_path / "mine.toml").write_text("mine")
    assert main([str(source), "--output", str(tmp_path / "mine.toml")]) == 2
    assert (tmp_path / "mine.toml").read_text() == "mine"


def graph(path: Path, shape, classes=7) -> Path:
    nodes = [helper.make_node("ReduceMean", ["clips"], ["scores"])]
    ends = [
        [helper.make_tensor_value_info("clips", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [shape[0], classes])],
    ]
    made = helper.make_model(helper.make_graph(nodes, "g", *ends), opset_imports=[helper.make_opsetid("", 13)])
    made.ir_version = 8
    onnx.save(made, str(path))
    return path


@pytest.mark.parametrize(
    ("shape", "layout", "found"),
    [
        ([1, 3, 16, 112, 112], "NCTHW", (3, 16, 112, 112)),
        (["n", 8, 3, 224, 224], "NTCHW", (8, 3, 224, 224)),
        ([4, 32, 64, 64, 3], "NTHWC", (32, 64, 64, 3)),
        (["n", 3, "t", "h", "w"], "NCTHW", (3, 16, 112, 112)),
    ],
)
def test_card_from_a_graph(tmp_path, shape, layout, found):
    source = graph(tmp_path / "mine.onnx", shape)
    assert main([str(source), "--output", str(tmp_path / "mine.toml")]) == 0
    card = cards.load(str(tmp_path / "mine.toml"))
    assert (card.model.framework, card.model.classes) == ("onnx", 7)
    assert (card.input.name, card.input.layout, card.input.shape) == ("clips", layout, found)
    assert card.export.output_name == "scores"


@pytest.mark.parametrize("shape", [[1, 3, 224, 224], [1, 5, 16, 64, 64]])
def test_graphs_of_no_clips_are_refused(tmp_path, capsys, shape):
    assert main([str(graph(tmp_path / "mine.onnx", shape)), "--output", str(tmp_path / "mine.toml")]) == 2
    assert not (tmp_path / "mine.toml").exists()


def test_strangers_are_refused(tmp_path, capsys):
    torch.save({"a.weight": torch.zeros(3, 3)}, tmp_path / "mine.pth")
    assert main([str(tmp_path / "mine.pth"), "--output", str(tmp_path / "mine.toml")]) == 2
    assert "none of the networks" in capsys.readouterr().err
