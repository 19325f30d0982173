from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from clip2om.pipeline import cards
from tests.command import ROOT, stage

CHECKPOINT = ROOT / "models" / "3d_resnet_demo.pth"


def test_the_committed_checkpoint_is_small_and_fits_its_card() -> None:
    from clip2om.export.pytorch.networks import build_network

    assert CHECKPOINT.stat().st_size <= 2_000_000
    card = cards.load("3d_resnet_demo")
    assert card.resolve(card.model.checkpoint) == CHECKPOINT
    checkpoint = torch.load(CHECKPOINT, weights_only=True)
    assert set(checkpoint) == {"epoch", "arch", "state_dict"}
    network = build_network(card).eval()
    network.load_state_dict(checkpoint["state_dict"])
    with torch.inference_mode():
        logits = network(torch.zeros(1, *card.input.shape))
    assert logits.shape == (1, card.model.classes)
    assert torch.isfinite(logits).all()


def test_flips_exchange_the_classes_that_they_exchange() -> None:
    from clip2om.scripts.demo.motions import LABELS
    from clip2om.scripts.demo.train import _FLIPS, _class_map

    maps = {axis: _class_map(LABELS, becomes) for axis, becomes in _FLIPS}
    for becomes in maps.values():
        assert torch.equal(becomes[becomes], torch.arange(len(LABELS)))

    def after(axis: int, label: str) -> str:
        return LABELS[maps[axis][LABELS.index(label)]]

    time, rows, columns = 2, 3, 4
    assert [after(axis, "move_left") for axis in (time, rows, columns)] == ["move_right", "move_left", "move_right"]
    assert {after(axis, "rotate_clockwise") for axis in (time, rows, columns)} == {"rotate_counterclockwise"}
    assert [after(axis, "grow") for axis in (time, rows, columns)] == ["shrink", "grow", "grow"]
    assert {after(axis, "blink_fast") for axis in (time, rows, columns)} == {"blink_fast"}


def test_augmentation_keeps_shape_type_and_range() -> None:
    from clip2om.scripts.demo.train import augment

    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (4, 3, 5, 6, 7), dtype=torch.uint8)
    swap = torch.tensor([1, 0])
    seen = set()
    for _ in range(12):
        changed, labels = augment(pixels, torch.tensor([0, 1, 0, 1]), [(4, swap)])
        assert (changed.shape, changed.dtype) == (pixels.shape, torch.uint8)
        seen.add(tuple(labels.tolist()))
    assert seen == {(0, 1, 0, 1), (1, 0, 1, 0)}


def test_video_accuracy_averages_over_clips() -> None:
    from clip2om.scripts.demo.train import Clips, accuracy

    card = cards.load("3d_resnet_demo")
    # Pixel value 255 * k / 2 stands for a clip whose scores are given here.
    logits = torch.log(torch.tensor([[0.9, 0.1], [0.45, 0.55], [0.2, 0.8]]))

    class Lookup(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return logits[((x[:, 0, 0, 0, 0] * 0.25 + 0.5) * 2).round().long()]

    pixels = torch.tensor([0, 128, 255, 255], dtype=torch.uint8).view(4, 1, 1, 1, 1).expand(4, 3, 1, 1, 1)
    clips = Clips(pixels, torch.tensor([0, 0, 1, 0]), torch.tensor([0, 0, 1, 2]), ["a", "b"])
    assert accuracy(Lookup(), card, clips) == (pytest.approx(2 / 3), pytest.approx(1 / 2))


def test_the_command_trains_and_leaves_a_checkpoint(tmp_path: Path) -> None:
    output = tmp_path / "new.pth"
    small = ("--videos-per-class", 1, "--epochs", 1, "--quiet", "--threads", 1)
    done = stage("scripts.train_demo", "--work", tmp_path / "work", "--output", output, *small)
    assert done.returncode == 0, done.stderr
    assert re.search(r"1 epochs in .*; validation top-1: 0\.\d{4} of the videos", done.stdout.splitlines()[-1])
    fresh, committed = (torch.load(path, weights_only=True) for path in (output, CHECKPOINT))
    assert fresh["arch"] == committed["arch"]
    assert list(fresh["state_dict"]) == list(committed["state_dict"])
    assert not list(tmp_path.rglob(".partial-*"))
