"""The 3D ResNets against the golden vectors."""

import numpy as np
import pytest
import torch

from export.pytorch.networks import build_network
from export.pytorch.pooling import GlobalPool, MeanPool, WindowPool
from export.pytorch.resnet3d import ResNet3d
from pipeline import card as cards
from pipeline.errors import RequestError
from tests.export import golden

FULL_SIZE = ("resnet-18", "resnet-50", "resnet-18-A", "resnet-10-flow")


def make(name):
    description, expected = golden.load(name)
    options = dict(description.get("options", {}))
    channels = description["logical_clips_NCTHW"][1]
    network = ResNet3d(int(name.split("-")[1]), description["classes"], channels=channels, **options)
    return network.eval(), description, expected


def test_formula_gives_the_published_check_values():
    assert golden.weight("resnet-18", "conv1.weight", (64, 3, 7, 7, 7)).ravel()[0] == np.float32(0.04248914495110512)
    assert golden.weight("resnet-18", "bn1.running_var", (64,))[2] == np.float32(1.0746300220489502)
    clips = golden.clips("resnet-18", (2, 3, 16, 112, 112))
    assert clips[1, 2, 15, 111, 111] == np.float32(-0.02627849578857422)
    assert float(clips.sum(dtype=np.float64)) == pytest.approx(-15578.680780112743, abs=1e-6)


@pytest.mark.parametrize("name", golden.NAMES)
def test_keys_order_and_logits_equal_the_golden_vectors(name):
    network, description, expected = make(name)
    found = [[key, list(value.shape), str(value.dtype)[6:]] for key, value in network.state_dict().items()]
    assert found == description["params"]
    assert sum(parameter.numel() for parameter in network.parameters()) == description["num_parameters"]
    network.load_state_dict(golden.state_dict(network, name))
    with torch.inference_mode():
        small = network(torch.from_numpy(golden.clips(name, description["small_input_shape"]))).numpy()
        assert golden.close(small, expected["logits_small_f64"])
        if name in FULL_SIZE:
            full = network(torch.from_numpy(golden.clips(name, description["input_shape"]))).numpy()
            assert golden.close(full, expected["logits_f64"])


def test_tolerance_catches_another_batch_norm_epsilon():
    network, description, expected = make("resnet-18-w025")
    network.load_state_dict(golden.state_dict(network, "resnet-18-w025"))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.eps = 1e-4
    with torch.inference_mode():
        small = network(torch.from_numpy(golden.clips("resnet-18-w025", description["small_input_shape"]))).numpy()
    assert not golden.close(small, expected["logits_small_f64"])


@pytest.mark.parametrize(
    ("depth", "shortcut", "parameters", "entries"),
    [
        (34, "B", 63_539_699, 218),
        (152, "B", 117_508_339, 932),
        (200, "B", 126_707_955, 1220),
        (18, "A", 33_056_243, 104),
        (50, "A", 43_526_899, 296),
    ],
)
def test_sizes_equal_the_published_ones(depth, shortcut, parameters, entries):
    with torch.device("meta"):
        network = ResNet3d(depth, 51, shortcut=shortcut)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert len(network.state_dict()) == entries


@pytest.mark.parametrize(("kind", "module"), [("global", GlobalPool), ("average", WindowPool), ("mean", MeanPool)])
@pytest.mark.parametrize("size", [64, 96, 112, 129])
def test_pooling_heads_agree_whatever_the_clip_size(kind, module, size):
    card = cards.load(
        "3d_resnet_demo",
        [
            f"input.shape=[3, 16, {size}, {size}]",
            f"transform.size={size}",
            f"transform.resize={size}",
            f"export.pooling={kind}",
        ],
    )
    network = build_network(card).eval()
    assert isinstance(network.avgpool, module)
    clip = torch.from_numpy(golden.clips("pool", (1, 3, 16, size, size)))
    with torch.inference_mode():
        expected = network.features(clip).mean(dim=(2, 3, 4))
        assert torch.allclose(network.avgpool(network.features(clip)), expected, rtol=1e-5, atol=1e-6)


def test_window_is_the_published_one_at_the_published_size():
    assert build_network(cards.load("3d_resnet", ["model.depth=10"])).avgpool.window == (1, 4, 4)


def test_window_pool_refuses_features_of_another_size():
    with pytest.raises(ValueError, match=r"\(1, 5, 5\) for a pooling window of \(1, 4, 4\)"):
        WindowPool((1, 4, 4))(torch.zeros(1, 8, 1, 5, 5))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.depth=19", "model.depth is 19, expected one of: 10, 18, 34"),
        ("model.widen_factor=0.001", "widen_factor 0.001 leaves the stem without channels"),
        ("model.conv1_t_size=0", "model.conv1_t_size is 0"),
        ("model.conv1_t_stride=0", "model.conv1_t_stride is 0"),
        ("model.network=c3d", "model.network is 'c3d', expected one of: resnet3d"),
    ],
)
def test_impossible_cards_are_refused(override, words):
    card = cards.load("3d_resnet_demo", [override])
    with pytest.raises(RequestError, match=words) as caught:
        build_network(card)
    assert caught.value.where == card.path


def test_other_layouts_are_refused():
    card = cards.load("3d_resnet_demo", ["input.layout=NTHWC", "input.shape=[16, 64, 64, 3]"])
    with pytest.raises(RequestError, match="PyTorch networks take NCTHW"):
        build_network(card)
