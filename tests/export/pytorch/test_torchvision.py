"""torchvision's video networks: their own names and formula weights give the logits that torchvision gives."""

import numpy as np
import pytest
import torch

from clip2om.export.pytorch.checkpoint import load_weights
from clip2om.export.pytorch.networks import build_network, make_network
from clip2om.pipeline import cards
from clip2om.pipeline.errors import RequestError
from tests.export import golden

NETWORKS = {"r3d_18": "tv-r3d-18", "mc3_18": "tv-mc3-18", "r2plus1d_18": "tv-r2plus1d-18"}


@pytest.mark.parametrize("card", NETWORKS)
def test_weights_under_torchvisions_names_give_its_logits(tmp_path, card):
    name = NETWORKS[card]
    description, expected = golden.load(name)
    state = {key: torch.from_numpy(golden.weight(name, key, tuple(shape))) for key, shape, _ in description["params"]}
    path = tmp_path / f"{card}.pth"
    torch.save({"model": state, "optimizer": {}, "epoch": 3}, path)
    made = cards.load(card)
    clip = tuple(description["small_logical_clips_NCTHW"])
    network = load_weights(make_network(made.model, clip[1:]), path, made).eval()
    with torch.inference_mode():
        found = network(torch.from_numpy(golden.clips(name, clip))).numpy()
    wanted = expected["logits_small_f64"]
    assert np.allclose(found, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


def test_what_shapes_cannot_tell_is_told_by_the_names(tmp_path):
    description, _ = golden.load("tv-r3d-18")
    state = {key: torch.zeros(()).expand(shape) for key, shape, _ in description["params"]}
    torch.save(state, tmp_path / "some.pth")
    sets = ["model.arguments.depth=18", "model.arguments.conv1_t_size=3", "model.classes=400", "dataset.labels="]
    other = cards.load("3d_resnet", sets)
    with pytest.raises(RequestError) as caught:
        load_weights(build_network(other), tmp_path / "some.pth", other)
    assert caught.value.line().endswith("use --set model.arguments.no_max_pool=true")


@pytest.mark.parametrize("card", NETWORKS)
def test_another_card_of_them_is_proposed(tmp_path, card):
    description, _ = golden.load(NETWORKS[card])
    state = {key: torch.zeros(()).expand(shape) for key, shape, _ in description["params"]}
    torch.save(state, tmp_path / "some.pth")
    other = cards.load("c3d_mmaction")
    with pytest.raises(RequestError) as caught:
        load_weights(build_network(other), tmp_path / "some.pth", other)
    assert f"--model {card}" in caught.value.line()
