"""The networks against the golden vectors."""

import dataclasses

import numpy as np
import pytest
import torch

from clip2om.export.entries import argument_names
from clip2om.export.pytorch.networks import FAMILIES, build_network, make_network
from clip2om.export.pytorch.pooling import GlobalPool, MeanPool, SameMaxPool, WindowPool
from clip2om.pipeline import cards
from clip2om.pipeline.card import Model
from clip2om.pipeline.errors import RequestError
from tests.export import golden

FULL_SIZE = ("resnet-18", "resnet-50", "resnet-18-A", "resnet-10-flow", "resnet2p1d-18", "preresnet-18", "densenet-121")
CLIP = (3, 16, 112, 112)


def logits(network, name, shape):
    with torch.inference_mode():
        return network(torch.from_numpy(golden.clips(name, shape))).numpy()


def test_formula_gives_the_published_check_values():
    assert golden.weight("resnet-18", "conv1.weight", (64, 3, 7, 7, 7)).ravel()[0] == np.float32(0.04248914495110512)
    assert golden.weight("resnet-18", "bn1.running_var", (64,))[2] == np.float32(1.0746300220489502)
    clips = golden.clips("resnet-18", (2, 3, 16, 112, 112))
    assert clips[1, 2, 15, 111, 111] == np.float32(-0.02627849578857422)
    assert float(clips.sum(dtype=np.float64)) == pytest.approx(-15578.680780112743, abs=1e-6)


@pytest.mark.parametrize("name", golden.NAMES)
def test_keys_order_and_sizes_equal_the_golden_ones(name):
    description, _ = golden.load(name)
    with torch.device("meta"):
        network = make_network(golden.model_of(name), tuple(description["logical_clips_NCTHW"][1:]))
    found = [[key, list(value.shape), str(value.dtype)[6:]] for key, value in network.state_dict().items()]
    assert found == description["params"]
    assert sum(parameter.numel() for parameter in network.parameters()) == description["num_parameters"]


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in golden.NAMES
        if name != "c3d-mmaction"  # fc6 fixes its clips to the full size
    ],
)
def test_logits_equal_the_golden_vectors(name):
    network, description, expected = golden.make(name)
    network.load_state_dict(golden.state_dict(network, name))
    assert golden.close(logits(network, name, description["small_input_shape"]), expected["logits_small_f64"])
    if name in FULL_SIZE:
        assert golden.close(logits(network, name, description["input_shape"]), expected["logits_f64"])


def test_c3d_equals_the_golden_vectors():
    network, description, expected = golden.make("c3d-mmaction")
    network.load_state_dict(golden.state_dict(network, "c3d-mmaction"))
    clips = golden.clips("c3d-mmaction", description["logical_clips_NCTHW"])
    with torch.inference_mode():
        found = network(torch.from_numpy(clips[3:5])).numpy()
    assert golden.close(found, expected["logits_f64"][3:5])


def from_tensorflow(shapes):
    """Return the formula weights of c3d-tf under the names and in the layouts of PyTorch."""
    parts = ("conv1a", "conv2a", "conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b")
    state = {}
    for number, part in enumerate(parts, 1):
        kernel, bias = (shapes[f"C3D/conv{number}/{kind}"] for kind in ("kernel", "bias"))
        state[f"backbone.{part}.conv.weight"] = np.moveaxis(kernel, (4, 3), (0, 1))
        state[f"backbone.{part}.conv.bias"] = bias
    for part, name in (("backbone.fc6", "fc6"), ("backbone.fc7", "fc7"), ("cls_head.fc_cls", "out")):
        rows = shapes[f"C3D/{name}/weights"]
        if name == "fc6":  # rows in T, H, W, C order
            rows = rows.reshape(1, 4, 4, 512, -1).transpose(3, 0, 1, 2, 4).reshape(8192, -1)
        state[f"{part}.weight"] = rows.T
        state[f"{part}.bias"] = shapes[f"C3D/{name}/biases"]
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in state.items()}


def test_c3d_with_same_padding_equals_tensorflow():
    description, expected = golden.load("c3d-tf")
    weights = {key: golden.weight("c3d-tf", key, tuple(shape), "tensorflow") for key, shape, _ in description["params"]}
    network = make_network(Model("pytorch", "c3d", 101, arguments={"same_padding": True}), CLIP).eval()
    network.load_state_dict(from_tensorflow(weights))
    found = logits(network, "c3d-tf", description["logical_clips_NCTHW"])
    # The tolerance of the golden vectors is 1e-5; TensorFlow itself is at 2.3e-6.
    assert golden.close(found, expected["logits_f64"])
    network = make_network(Model("pytorch", "c3d", 101), CLIP).eval()
    network.load_state_dict(from_tensorflow(weights))
    assert not golden.close(logits(network, "c3d-tf", description["logical_clips_NCTHW"]), expected["logits_f64"])


def test_resnet_with_same_padding_equals_mindspore():
    description, expected = golden.load("ms-resnet3d-50-from-resnet-50")
    for shape, wanted in (("small_input_shape", "logits_small_f64"), ("input_shape", "logits_f64")):
        clip = tuple(description[shape][1:])
        model = dataclasses.replace(golden.model_of("resnet-50"), arguments={"depth": 50, "same_padding": True})
        network = make_network(model, clip).eval()
        network.load_state_dict(golden.state_dict(network, "resnet-50"))
        assert golden.close(logits(network, "resnet-50", description[shape]), expected[wanted])


@pytest.mark.parametrize("size", [(1, 8, 8), (7, 9, 8), (16, 15, 31)])
def test_same_padding_halves_every_extent(size):
    x = torch.randn(1, 2, *size)
    # SAME: half the extents, rounded up; what is missing is padded, the odd sample at the end.
    total = [max((-(-extent // 2) - 1) * 2 + 3 - extent, 0) for extent in size]
    pads = [pad for extent in reversed(total) for pad in (extent // 2, extent - extent // 2)]
    padded = torch.nn.functional.pad(x, pads, value=-torch.inf)
    found = SameMaxPool(size)(x)
    assert found.shape[2:] == tuple(-(-extent // 2) for extent in size)
    assert torch.equal(found, torch.nn.functional.max_pool3d(padded, 3, 2))


def test_tolerance_catches_another_batch_norm_epsilon():
    network, description, expected = golden.make("resnet-18-w025")
    network.load_state_dict(golden.state_dict(network, "resnet-18-w025"))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.eps = 1e-4
    found = logits(network, "resnet-18-w025", description["small_input_shape"])
    assert not golden.close(found, expected["logits_small_f64"])


@pytest.mark.parametrize(
    ("network", "depth", "options", "parameters", "entries"),
    [
        ("resnet3d", 34, {}, 63_539_699, 218),
        ("resnet3d", 152, {}, 117_508_339, 932),
        ("resnet3d", 200, {}, 126_707_955, 1220),
        ("resnet3d", 50, {"shortcut": "A"}, 43_526_899, 296),
        ("resnet2p1d", 10, {}, 14_429_007, 128),
        ("resnet2p1d", 34, {}, 63_568_463, 416),
        ("resnet2p1d", 101, {}, 85_386_009, 830),
        ("resnet2p1d", 200, {}, 126_770_841, 1622),
        ("wideresnet", 101, {}, 295_843_251, 626),
        ("resnext", 152, {}, 65_554_355, 932),
        ("resnext", 200, {}, 70_666_163, 1220),
        ("densenet", 169, {}, 18_671_539, 1015),
        ("densenet", 201, {}, 25_472_691, 1207),
        ("densenet", 264, {}, 40_426_931, 1591),
    ],
)
def test_sizes_equal_the_published_ones(network, depth, options, parameters, entries):
    with torch.device("meta"):
        made = make_network(Model("pytorch", network, 51, arguments={"depth": depth, **options}), CLIP)
    assert sum(parameter.numel() for parameter in made.parameters()) == parameters
    assert len(made.state_dict()) == entries


@pytest.mark.parametrize("network", ["wideresnet", "resnext"])
def test_stem_of_the_2018_release_is_64_wide(network):
    with torch.device("meta"):
        state = make_network(Model("pytorch", network, 400, arguments={"stem_width": 64}), CLIP).state_dict()
    found = [tuple(state[name].shape[:2]) for name in ("conv1.weight", "layer1.0.conv1.weight")]
    assert found == [(64, 3), (128, 64)]
    assert tuple(state["bn1.weight"].shape) == (64,)
    assert tuple(state["layer1.0.downsample.0.weight"].shape[:2]) == (256, 64)


@pytest.mark.parametrize("cardinality", [16, 64])
def test_resnext_takes_other_cardinalities(cardinality):
    # The published network fails in its forward pass with any but 32.
    model = Model("pytorch", "resnext", 4, arguments={"cardinality": cardinality, "widen_factor": 0.25})
    with torch.device("meta"):
        network = make_network(model, (3, 16, 64, 64)).eval()
        assert network(torch.empty(2, 3, 16, 64, 64)).shape == (2, 4)
    assert network.layer1[0].conv2.weight.shape[:2] == (cardinality, 1)


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


@pytest.mark.parametrize("network", [name for name, family in FAMILIES.items() if family.pooled])
def test_pooling_head_does_not_change_the_network(network):
    depth = {"densenet": 121, "r2plus1d": 18, "mc3": 18}.get(network, 50)
    known = argument_names(FAMILIES[network].options)
    given = {name: value for name, value in (("depth", depth), ("widen_factor", 0.25)) if name in known}
    model = Model("pytorch", network, 3, arguments=given)
    clip = golden.clips("pool", (1, 3, 16, 64, 64))
    found = []
    for pooling in ("global", "average", "mean"):
        torch.manual_seed(0)
        found.append(make_network(model, clip.shape[1:], pooling).eval()(torch.from_numpy(clip)))
    assert torch.allclose(found[0], found[1], atol=1e-5) and torch.allclose(found[0], found[2], atol=1e-5)


def test_window_is_the_published_one_at_the_published_size():
    assert build_network(cards.load("3d_resnet", ["model.arguments.depth=10"])).avgpool.window == (1, 4, 4)


def test_window_pool_refuses_features_of_another_size():
    with pytest.raises(ValueError, match=r"\(1, 5, 5\) for a pooling window of \(1, 4, 4\)"):
        WindowPool((1, 4, 4))(torch.zeros(1, 8, 1, 5, 5))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model.arguments.depth=19"], "model.arguments.depth is 19, expected one of: 10, 18, 34"),
        (["model.arguments.widen_factor=0.001"], "widen_factor 0.001 leaves a layer of 64 without channels"),
        (["model.arguments.conv1_t_size=0"], "model.arguments.conv1_t_size is 0"),
        (["model.arguments.conv1_t_stride=0"], "model.arguments.conv1_t_stride is 0"),
        (["model.arguments.stem_width=-1"], "model.arguments.stem_width is -1"),
        (["model.network=none"], "model.network is 'none', expected one of: c3d, densenet, "),
        (["model.network=wideresnet"], "model.arguments.depth is 10, expected one of: 50, 101, 152, 200"),
        (
            ["model.network=preresnet", "model.arguments.depth=19"],
            "model.arguments.depth is 19, expected one of: 10, 18",
        ),
        (
            ["model.network=resnet2p1d", "model.arguments.depth=19"],
            "model.arguments.depth is 19, expected one of: 10, 18",
        ),
        (
            ["model.network=densenet", "model.arguments.conv1_t_size=7"],
            "model.arguments.depth is 10, expected one of: 121, 169, 201, 264",
        ),
        (
            ["model.network=r2plus1d", "model.arguments.depth=50", "model.arguments.conv1_t_size=7"],
            "model.arguments.depth is 50, expected one of: 18, 34",
        ),
        (
            ["model.network=wideresnet", "model.arguments.depth=50", "model.arguments.wide_resnet_k=0"],
            "model.arguments.wide_resnet_k is 0, expected 1 or more",
        ),
        (["model.network=resnext", "model.arguments.depth=50"], "widen_factor 0.125 give no whole channels per group"),
        (["model.arguments.depth=deep"], "model.arguments.depth is 'deep' (str), expected an integer"),
        (["model.arguments.depth=18.5"], "model.arguments.depth is 18.5 (float), expected an integer"),
        (["model.arguments.no_max_pool=1"], "model.arguments.no_max_pool is 1 (int), expected true or false"),
        (["model.arguments.shortcut=C"], "model.arguments.shortcut is 'C' (str), expected A or B"),
        (["model.arguments.wide_resnet_k=3"], "model.arguments.wide_resnet_k is 3, which resnet3d does not take"),
        (["model.arguments.dropout=true"], "model.arguments.dropout is True, which resnet3d does not take"),
        (
            ["model.network=c3d", "model.arguments.conv1_t_size=7", "export.pooling=global"],
            "model.arguments.depth is 10, which c3d does not take",
        ),
        (
            ["model.network=preresnet", "model.arguments.same_padding=true"],
            "same_padding is True, which preresnet does not take",
        ),
        (["export.batch_accuracy=true"], "export.batch_accuracy is for TensorFlow cards"),
        (["export.average_clips=true"], "export.average_clips is on, layout NCTHW has no clips to average"),
        (
            [
                "model.network=densenet",
                "model.arguments.depth=121",
                "clips.frames=8",
                "input.shape=[3, 8, 64, 64]",
                "model.arguments.conv1_t_size=7",
            ],
            "a clip of 3x8x64x64 is too small for densenet-121",
        ),
        (
            [
                "model.network=c3d",
                "export.pooling=global",
                "model.arguments.depth=50",
                "model.arguments.conv1_t_size=7",
                "clips.frames=4",
                "input.shape=[3, 4, 64, 64]",
            ],
            "a clip of 3x4x64x64 is too small for c3d",
        ),
        (
            ["model.network=c3d", "model.arguments.depth=50", "model.arguments.conv1_t_size=7", "export.pooling=mean"],
            "export.pooling is 'mean', c3d has no pooling head",
        ),
    ],
)
def test_impossible_cards_are_refused(overrides, words):
    card = cards.load("3d_resnet_demo", overrides)
    with pytest.raises(RequestError) as caught:
        build_network(card)
    assert words in caught.value.what and "\n" not in caught.value.line()
    assert caught.value.where == card.path


def test_other_layouts_are_refused():
    card = cards.load("3d_resnet_demo", ["input.layout=NTHWC", "input.shape=[16, 64, 64, 3]"])
    with pytest.raises(RequestError, match="PyTorch networks take NCTHW or NKCTHW"):
        build_network(card)
