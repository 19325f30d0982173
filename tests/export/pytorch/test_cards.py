"""The graphs of the PyTorch cards: operators, interface, numbers, and what the export says about them."""

import io
from collections import Counter

import numpy as np
import onnx
import pytest
import torch

from clip2om.export import onnx_graph, parity
from clip2om.export.pytorch.checkpoint import load_weights
from clip2om.export.pytorch.exporter import export_graph
from clip2om.export.pytorch.networks import build_network
from clip2om.export.request import ExportRequest
from clip2om.pipeline import cards
from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.places import CARDS
from clip2om.pipeline.tensor import DYNAMIC
from tests.command import refused, stage
from tests.export import golden
from tests.export.pytorch import small


def exported(folder, made, batch=2, dtype="float32", opset=11, path=None):
    path = path or small.checkpoint(folder, made)
    asked = ExportRequest(made, path, sha256_file(path), folder / "graph", "onnx", batch, dtype, opset, 1e-4)
    said = io.StringIO()
    record = export_graph(asked, Console("test", quiet=True, err=said))
    return asked, record, onnx.load(str(asked.output / record.file)), said.getvalue()


def operators(model):
    return Counter(node.op_type for node in model.graph.node)


def attributes(node):
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def eager(made, path, pixels):
    """Return the logits of the card's network for clips of pixels, float32 (N, classes)."""
    network = load_weights(build_network(made), path, made).eval()
    values = parity.normalised(pixels.reshape(-1, *made.input.shape[-4:]), "NCTHW", made.transform)
    with torch.inference_mode():
        return network(torch.from_numpy(values)).numpy()


WARNINGS = {
    "resnext": "test: warning: 16 convolutions have groups; on 5-D tensors ATC documents group 1 only",
    "preresnet": "test: warning: 8 BatchNormalization stay in the graph",
    "densenet": "test: warning: 62 BatchNormalization stay in the graph",
}


@pytest.mark.parametrize(("batch", "opset", "dtype"), [(2, 11, "float32"), (DYNAMIC, 17, "uint8")])
@pytest.mark.parametrize("name", [name for name in small.CARDS if name != "c3d_mmaction"])
def test_graph_of_a_card_has_the_documented_operators_and_the_network_s_numbers(tmp_path, name, batch, opset, dtype):
    made = small.card(name)
    asked, record, model, said = exported(tmp_path, made, batch=batch, opset=opset, dtype=dtype)
    # The factors of the normalisation go into the first convolution.
    assert operators(model) == {**small.CARDS[name][1], **({"Cast": 1, "Sub": 1} if dtype == "uint8" else {})}
    assert record.inputs == [asked.input] and record.outputs == [asked.logits]
    pixels = np.random.default_rng(3).integers(0, 256, (2, *made.input.shape)).astype(np.uint8)
    feed = pixels if dtype == "uint8" else parity.normalised(pixels, "NCTHW", made.transform)
    expected, found = eager(made, asked.checkpoint, pixels), onnx_graph.run(asked.output / "model.onnx", [feed])
    assert np.abs(found - expected).max() < 1e-4 * max(1, np.abs(expected).max())
    assert np.ptp(expected, axis=0).max() > 1e-3
    check_attributes(model, groups=name == "resnext")
    assert said.startswith(WARNINGS.get(name, "")) and said.count("\n") == (name in WARNINGS)


def check_attributes(model, groups=False):
    """Check that no node has an attribute that the NPU's converter does not document."""
    for node in model.graph.node:
        found = attributes(node)
        assert found.get("auto_pad", b"NOTSET") == b"NOTSET"
        assert (found.get("ceil_mode", 0), found.get("count_include_pad", 0)) == (0, 0)
        assert found.get("group", 1) == 1 or groups
        if node.op_type in ("Conv", "MaxPool"):
            assert len(found["pads"]) == 6


# Form: further entries, operators beside those of the network, and what the graph gives for logits (N, K, classes).
FLAT = ("input.layout=NCTHW", "input.shape=[3, 16, 32, 32]")
FORMS = {
    "probabilities": ((), {"Reshape": 2, "Softmax": 1}, lambda x: softmax(x)),
    "logits": (("export.softmax=false",), {"Reshape": 2}, lambda x: x),
    "mean probability": (
        ("export.average_clips=true",),
        {"Reshape": 2, "Softmax": 1, "ReduceMean": 1},
        lambda x: softmax(x).mean(1),
    ),
    "mean logit": (
        ("export.average_clips=true", "export.softmax=false"),
        {"Reshape": 2, "ReduceMean": 1},
        lambda x: x.mean(1),
    ),
    "single clips": (FLAT, {"Softmax": 1}, lambda x: softmax(x).reshape(-1, x.shape[2])),
    "single clips, logits": ((*FLAT, "export.softmax=false"), {}, lambda x: x.reshape(-1, x.shape[2])),
}
C3D = {"Conv": 8, "Relu": 10, "MaxPool": 5, "Flatten": 1, "Gemm": 3}


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    ("batch", "opset", "dtype"), [(2, 11, "float32"), (DYNAMIC, 11, "float32"), (DYNAMIC, 17, "uint8")]
)
@pytest.mark.parametrize("form", FORMS)
def test_c3d_takes_videos_or_clips(tmp_path, form, batch, opset, dtype):
    entries, more, outcome = FORMS[form]
    made = small.card("c3d_mmaction", *entries)
    asked, record, model, _ = exported(tmp_path, made, batch=batch, opset=opset, dtype=dtype)
    assert record.inputs == [asked.input] and record.outputs == [asked.logits]
    check_attributes(model)
    # A scale and a standard deviation of 1 leave nothing to multiply by.
    assert operators(model) == {**C3D, **more, **({"Cast": 1, "Sub": 1} if dtype == "uint8" else {})}
    count = 2 if "K" in made.input.layout else 1
    rows = 2 if batch == 2 else 3
    pixels = np.random.default_rng(4).integers(0, 256, (rows, *made.input.shape)).astype(np.uint8)
    logits = eager(made, asked.checkpoint, pixels).reshape(rows, count, -1)
    feed = pixels if dtype == "uint8" else parity.normalised(pixels, made.input.layout, made.transform)
    found = onnx_graph.run(asked.output / "model.onnx", [feed])
    expected = outcome(logits)
    assert found.shape == expected.shape == (rows, *asked.logits.shape[1:])
    assert np.abs(found - expected).max() < 1e-4 * max(1, np.abs(logits).max())


@pytest.mark.parametrize("form", ["probabilities", "single clips"])
def test_graph_of_pixels_subtracts_a_mean_volume(tmp_path, form):
    volume = np.random.default_rng(6).uniform(60, 130, (16, 32, 32, 3)).astype(np.float32)
    np.save(tmp_path / "mean.npy", volume)
    made = small.card("c3d_mmaction", *FORMS[form][0], f"transform.mean_volume={tmp_path}/mean.npy")
    asked, _, model, _ = exported(tmp_path, made, batch=2, dtype="uint8")
    assert operators(model)["Sub"] == 1
    pixels = np.random.default_rng(4).integers(0, 256, asked.input.shape).astype(np.uint8)
    network = load_weights(build_network(made), asked.checkpoint, made).eval()
    with torch.inference_mode():
        clips = (pixels.reshape(-1, 3, 16, 32, 32) - volume.transpose(3, 0, 1, 2)).astype(np.float32)
        logits = network(torch.from_numpy(clips)).numpy()
    found = onnx_graph.run(asked.output / "model.onnx", [pixels]).reshape(logits.shape)
    assert np.abs(found - softmax(logits)).max() < 1e-5


def test_reshape_of_videos_has_a_constant_target(tmp_path):
    _, _, model, _ = exported(tmp_path, small.card("c3d_mmaction"), batch=DYNAMIC)
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    targets = [list(constants[node.input[1]]) for node in model.graph.node if node.op_type == "Reshape"]
    assert targets == [[-1, 3, 16, 32, 32], [-1, 2, 5]]


@pytest.mark.slow
def test_published_form_equals_the_golden_vectors(tmp_path):
    # Two clips of the ten: their softmax, and the means over the two.
    _, expected = golden.load("c3d-mmaction")
    wanted = expected["softmax_f64"][:2]
    assert np.allclose(softmax(expected["logits_f64"]), expected["softmax_f64"], atol=1e-9)
    assert np.allclose(expected["softmax_f64"].mean(0), expected["mean_softmax_f64"][0], atol=1e-9)
    made = cards.load("c3d_mmaction", ["clips.count=2", "input.shape=[2, 3, 16, 112, 112]"])
    state = golden.state_dict(build_network(made), "c3d-mmaction")
    torch.save({"state_dict": state}, tmp_path / "c3d.pth")
    _, _, model, _ = exported(tmp_path, made, batch=1, path=tmp_path / "c3d.pth")
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["image", "class"]
    clips = golden.clips("c3d-mmaction", (10, 3, 16, 112, 112))[None, :2]
    found = onnx_graph.run(tmp_path / "graph" / "model.onnx", [clips])
    assert found.shape == (1, 2, 101) and np.abs(found[0] - wanted).max() < 1e-5


@pytest.mark.parametrize("network", ["resnet3d", "c3d"])
@pytest.mark.parametrize("size", [32, 36, 40])
def test_same_padding_becomes_explicit_pads(tmp_path, network, size):
    overrides = [
        f"model.network={network}",
        "model.arguments.same_padding=true",
        "model.arguments.widen_factor=0.0625",
        f"transform.size={size}",
        f"transform.resize={size}",
        f"input.shape=[3, 16, {size}, {size}]",
        *(
            ["model.arguments.depth=50", "model.arguments.conv1_t_size=7", "export.pooling=global"]
            if network == "c3d"
            else []
        ),
    ]
    made = cards.load("3d_resnet_demo", overrides)
    asked, _, model, _ = exported(tmp_path, made, batch=DYNAMIC)
    pools = [attributes(node) for node in model.graph.node if node.op_type == "MaxPool"]
    assert pools and all("ceil_mode" not in pool and "auto_pad" not in pool for pool in pools)
    if network == "resnet3d":  # the stem gives 16 frames and half the size
        odd = size // 2 % 2
        assert pools[0]["pads"] == [0, odd, odd, 1, 1, 1]
    pixels = np.random.default_rng(4).integers(0, 256, (2, *made.input.shape)).astype(np.uint8)
    feed = parity.normalised(pixels, "NCTHW", made.transform)
    found, expected = onnx_graph.run(asked.output / "model.onnx", [feed]), eager(made, asked.checkpoint, pixels)
    assert np.abs(found - expected).max() < 1e-5 * max(1, np.abs(expected).max())


def test_weights_of_another_card_name_that_card(tmp_path):
    for name in small.CARDS:
        path = small.checkpoint(tmp_path, small.card(name))
        other = "c3d_mmaction" if name != "c3d_mmaction" else "resnext"
        # The full card: what it proposes must be the small one, entry by entry, where the weights show it.
        with pytest.raises(RequestError) as caught:
            load_weights(build_network(small.card(other)), path, small.card(other))
        if name == "c3d_mmaction":  # fc6 shows no clip size, and the card's does not fit
            assert caught.value.line().endswith("no card entry makes it fit; check --checkpoint and --model")
            continue
        words = caught.value.todo.split()
        assert words[:3] == ["use", "--model", name]
        fitting = cards.load(name, [word for word in words[3:] if word != "--set"])
        load_weights(build_network(fitting), path, fitting)


def test_weights_of_gluoncv_name_a_card_and_the_framework(tmp_path):
    with torch.device("meta"):
        shapes = golden.make("gluon-r2plus1d-34")[0].state_dict()
    torch.save(
        {name: torch.zeros(value.shape, dtype=value.dtype) for name, value in shapes.items()}, tmp_path / "g.pth"
    )
    with pytest.raises(RequestError, match=r"seems to be an R\(2\+1\)D-34 of GluonCV, 400 classes"):
        load_weights(build_network(small.card("r2plus1d")), tmp_path / "g.pth", small.card("r2plus1d"))


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("preresnet", ("model.depth=200", "model.classes=400")),
        ("wideresnet", ("model.stem_width=64", "model.classes=400")),
        (
            "resnext",
            ("model.stem_width=64", "clips.frames=64", "clips.stride=64", "input.shape=[3,64,112,112]"),
        ),
        ("densenet", ("model.classes=400",)),
    ],
)
def test_cards_take_the_entries_that_their_comments_give_for_the_2018_release(name, entries):
    normalising = ("transform.scale=1", "transform.mean=[114.7748,107.7354,99.475]", "transform.std=[1,1,1]")
    text = (CARDS / f"{name}.toml").read_text()
    assert all(entry in text for entry in (*entries, *normalising))
    with torch.device("meta"):
        build_network(cards.load(name, [*entries, *normalising]))


@pytest.mark.parametrize("name", [name for name in small.CARDS if name != "c3d_mmaction"])
def test_cards_take_the_other_datasets_of_their_comments(name):
    text = (CARDS / f"{name}.toml").read_text()
    for chosen, classes in (("ucf101", 101), ("kinetics", 700)):
        found = [word.strip("#'") for word in text.split() if "=" in word and word.strip("#'SET=").startswith("d")]
        entries = [word for word in found if chosen in word or word == "dataset.labels="]
        card = cards.load(name, [f"model.classes={classes}", *entries])
        assert card.dataset.name == chosen and card.dataset.videos == f"data/{chosen}/jpg"
        assert len(card.labels()) in (0, classes)


def test_user_is_told_of_a_wrong_card_in_one_line(tmp_path):
    path = small.checkpoint(tmp_path, small.card("wideresnet"))
    done = stage("export", "--model", "resnext", "--checkpoint", path, "--output", tmp_path / "graph")
    refused(done, "seems to be a wide 3D ResNet-50", "use --model wideresnet --set model.arguments.widen_factor=0.0625")
