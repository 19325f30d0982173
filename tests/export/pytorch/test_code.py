"""Networks that a card names as code: run only where that was allowed, recorded, and refused with a way out."""

import pytest
import torch

from clip2om.export.__main__ import main
from clip2om.export.pytorch.networks import build_network
from clip2om.pipeline import cards
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.records import GraphRecord, read_record

SOURCE = """
import pathlib
import torch
from torch import nn

pathlib.Path(__file__).with_name("ran").write_text("")


class Net(nn.Module):
    def __init__(self, classes, width, answer):
        super().__init__()
        self.conv = nn.Conv3d(3, width, 3, stride=4)
        self.head = nn.Linear(width, classes)
        self.answer = answer

    def forward(self, x):
        y = self.head(self.conv(x).relu().mean((2, 3, 4)))
        return {"tensor": y, "dict": {"logits": y, "extra": x}, "tuple": (x, y)}[self.answer]


def build(classes=8, width=4, answer="tensor"):
    return Net(classes, width, answer)


def broken():
    raise ValueError("no luck")


def number():
    return 3
"""
DEMO = cards.load("3d_resnet_demo")


def card_of(folder, network="my_net.py:build", more="", arguments=""):
    (folder / "my_net.py").write_text(SOURCE)
    with open(DEMO.path, encoding="utf-8") as stream:
        text = stream.read()
    for line in (
        "depth = 10",
        'shortcut = "B"',
        "widen_factor = 0.125",
        "conv1_t_size = 3",
        "[model.arguments]",
        'pooling = "average"',
    ):
        text = text.replace(f"{line}\n", "")
    text = text.replace('network = "resnet3d"', f'network = "{network}"\n{more}').replace('dtype = "uint8"', "")
    text = text.replace("[input]", f"[model.arguments]\n{arguments}\n[input]")
    (folder / "mine.toml").write_text(text)
    return folder / "mine.toml"


def export(folder, card, *options):
    path = folder / "weights.pth"
    if not path.exists():
        torch.manual_seed(0)
        conv, head = torch.nn.Conv3d(3, 4, 3, stride=4), torch.nn.Linear(4, 8)
        parts = torch.nn.ModuleDict({"conv": conv, "head": head}).state_dict()
        state = {f"module.{name}": value for name, value in parts.items()}
        torch.save({"state_dict": state}, path)
    words = ["--model", str(card), "--checkpoint", str(path), "--output", str(folder / "graph"), "--batch", "2"]
    return main([*words, "--quiet", *options])


def test_code_is_run_only_where_that_was_allowed(tmp_path, capsys):
    card = card_of(tmp_path)
    assert export(tmp_path, card) == 2
    assert "--allow-code" in capsys.readouterr().err and not (tmp_path / "ran").exists()
    assert export(tmp_path, card, "--allow-code") == 0
    record = read_record(tmp_path / "graph" / "model.json", GraphRecord, "")
    assert record.code["my_net.py"].startswith("sha256 ") and len(record.code["my_net.py"]) == 71


def test_other_code_is_another_graph(tmp_path, capsys):
    card = card_of(tmp_path)
    assert export(tmp_path, card, "--allow-code") == 0
    assert export(tmp_path, card) == 0 and "up to date" in capsys.readouterr().out
    (tmp_path / "my_net.py").write_text(SOURCE + "\n# changed\n")
    assert export(tmp_path, card) == 2


@pytest.mark.parametrize(("answer", "output"), [("dict", "logits"), ("tuple", "1")])
def test_scores_are_named_where_there_is_more(tmp_path, capsys, answer, output):
    card = card_of(tmp_path, arguments=f'answer = "{answer}"')
    assert export(tmp_path, card, "--allow-code") == 2
    assert "model.output" in capsys.readouterr().err
    assert export(tmp_path, card, "--allow-code", "--set", f'model.output="{output}"') == 0


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("my_net.py:nothing", "has no function 'nothing'"),
        ("my_net.py:broken", "raises ValueError (no luck)"),
        ("my_net.py:number", "gives int, expected a torch.nn.Module"),
        ("other.py:build", "other.py: no such file"),
        ("no_such_package.models:build", "not installed: no_such_package"),
        ("torchvision.models.video:r3d_18", "torchvision"),
    ],
)
def test_code_that_gives_no_network_is_refused(tmp_path, capsys, network, words):
    assert export(tmp_path, card_of(tmp_path, network), "--allow-code") == 2
    line = capsys.readouterr().err.strip()
    assert words in line and "Traceback" not in line


def test_arguments_and_classes_are_checked(tmp_path, capsys):
    card = card_of(tmp_path, arguments="classes = 5")
    assert export(tmp_path, card, "--allow-code") == 2
    assert "gives 1x5 for one clip, model.classes is 8" in capsys.readouterr().err
    assert export(tmp_path, card, "--allow-code", "--set", "model.arguments.depth=3") == 2
    assert "TypeError" in capsys.readouterr().err


def test_arguments_of_a_family_are_its_entries(tmp_path):
    text = DEMO.path
    with open(text, encoding="utf-8") as stream:
        content = stream.read().replace("depth = 10\n", "depth = 18\n")
    (tmp_path / "mine.toml").write_text(content)
    assert cards.load(str(tmp_path / "mine.toml")).model.arguments["depth"] == 18
    assert cards.load(str(tmp_path / "mine.toml"), ["model.arguments.depth=34"]).model.arguments["depth"] == 34
    with pytest.raises(RequestError, match=r"model\.arguments\.breadth is 3, which resnet3d does not take; remove it"):
        build_network(cards.load("3d_resnet_demo", ["model.arguments.breadth=3"]))
