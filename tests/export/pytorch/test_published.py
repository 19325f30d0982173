"""Networks of mmaction2, PySlowFast, pytorchvideo and MIT under the names of their published files.

Truth: logits of the original libraries for formula weights and clips (float64), see tests/networks.py.
"""

import numpy as np
import onnx
import pytest
import torch

from clip2om.export import onnx_graph, parity
from clip2om.export.pytorch.checkpoint import find_network, load_weights
from clip2om.export.pytorch.networks import build_network, make_network
from clip2om.pipeline import cards
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.tensor import DYNAMIC
from tests.export import golden
from tests.export.pytorch.test_cards import exported

# Golden vector, card, entries, and the container in which the library saves.
GOLDEN = [
    ("mma-tsn-r50", "tsn_r50", (), "state_dict"),
    ("mit-tsm-r50-8", "tsm_r50", (), "state_dict"),
    ("ptv-slow-r50", "slowonly_r50", (), "model_state"),
    ("pysf-slowfast-r50-8x8", "slowfast_8x8_pyslowfast", (), "model_state"),
    ("mma-i3d-r50-nl-embedded-gaussian", "i3d_r50", ("model.arguments.non_local=embedded_gaussian",), "state_dict"),
    ("mma-x3d-s", "x3d_s", (), "state_dict"),
]
_SMALL = (
    "model.classes=5",
    "model.arguments.widen_factor=0.125",
    "transform.resize=32",
    "transform.size=32",
    "export.pooling=global",
)
# Card, its entries at a size that takes a second, frames.
SMALL = {
    "tsn": ("tsn_r50", (), 3),
    "tsm": ("tsm_r50", ("model.arguments.segments=4",), 4),
    "slowonly": ("slowonly_r50", ("model.arguments.non_local=embedded_gaussian",), 4),
    "slowfast": ("slowfast_r50_8x8", (), 8),
    "slowfast-pyslowfast": ("slowfast_8x8_pyslowfast", (), 8),
    "i3d": ("i3d_r50", ("model.arguments.non_local=dot_product",), 8),
    "x3d": ("x3d_s", (), 4),
}


def formula(name):
    """Return the formula weights of a golden network under its own names."""
    description, expected = golden.load(name)
    state = {}
    for key, shape, _ in description["params"]:
        value = golden.weight(name, key, tuple(shape))
        for text, factor in description.get("weight_scale", []):
            if text in key and key.endswith("weight"):
                value = value * np.float32(factor)
        state[key] = torch.from_numpy(np.asarray(value))
    return state, description, expected


def small(name, *more):
    card, entries, frames = SMALL[name]
    sizes = [f"clips.frames={frames}", f"input.shape=[3,{frames},32,32]"]
    common = [entry for entry in _SMALL if name != "x3d" or "widen" not in entry]
    return cards.load(card, [*common, *sizes, *entries, *more])


@pytest.mark.parametrize(("name", "card", "entries", "container"), GOLDEN)
def test_weights_under_published_names_give_the_librarys_logits(tmp_path, name, card, entries, container):
    state, description, expected = formula(name)
    path = tmp_path / "published.pth"
    torch.save({container: state, "epoch": 3}, path)
    made = cards.load(card, entries)
    clip = tuple(description["small_logical_clips_NCTHW"])
    network = load_weights(make_network(made.model, clip[1:]), path, made).eval()
    with torch.inference_mode():
        found = network(torch.from_numpy(golden.clips(name, clip))).numpy()
    wanted = expected["logits_small_f64"]
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()
    told, _, options, _ = find_network(path)
    assert told == made.model.network and options["classes"] == 400


@pytest.mark.parametrize("name", SMALL)
def test_graph_has_documented_operators_and_an_open_batch(tmp_path, name):
    made = small(name)
    path = tmp_path / "made.pth"
    torch.manual_seed(3)  # formula weights make attention a step function
    torch.save({"state_dict": build_network(made).state_dict()}, path)
    _, record, model, _ = exported(tmp_path, made, batch=DYNAMIC, path=path)
    assert record.parity.max_abs_diff < 1e-5 * max(1, record.parity.max_abs) and not record.parity.dead
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {"Resize", "ScatterND", "Shape", "Einsum", "Sub"}
    network = load_weights(build_network(made), path, made).eval()
    pixels = np.random.default_rng(5).integers(0, 256, (3, *made.input.shape)).astype(np.uint8)
    feed = parity.normalised(pixels, "NCTHW", made.transform)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(feed)).numpy()
    found = onnx_graph.run(tmp_path / "graph" / "model.onnx", [feed])
    assert np.abs(found - wanted).max() < 1e-5 * max(1, np.abs(wanted).max())
    if name == "slowfast-pyslowfast":
        # Slow frames 0 and 7 of 8: a traced linspace would give another last one.
        (gather,) = (node for node in model.graph.node if node.op_type == "Gather")
        tables = {table.name: onnx.numpy_helper.to_array(table) for table in model.graph.initializer}
        assert tables[gather.input[1]].tolist() == [0, 7]


def test_one_network_of_two_libraries_is_not_taken_for_the_others(tmp_path):
    made = small("slowfast-pyslowfast", "model.arguments.cut=stride")
    names = {"backbone.slow_path.conv1.": "s1.pathway0_stem.", "backbone.fast_path.conv1.": "s1.pathway1_stem."}
    state = {}
    for key, value in build_network(small("slowfast-pyslowfast")).state_dict().items():
        for old, new in names.items():
            key = key.replace(old, new)
        state[key] = value
    torch.save(state, tmp_path / "pyslowfast.pth")
    with pytest.raises(RequestError) as caught:
        load_weights(build_network(made), tmp_path / "pyslowfast.pth", made)
    line = caught.value.line()
    assert "whose network has cut linspace" in line and "--set model.arguments.cut=linspace" in line


@pytest.mark.parametrize(
    ("name", "entries", "message"),
    [
        ("tsm", ["model.arguments.segments=8"], "model.arguments.segments is 8, a clip has 4 frames"),
        ("slowfast", ["model.arguments.tau=6"], "tau 6 is no multiple of model.arguments.alpha 4"),
        (
            "slowfast",
            ["model.arguments.cut=other"],
            "model.arguments.cut is 'other' (str), expected stride or linspace",
        ),
        ("i3d", ["model.arguments.depth=18"], "model.arguments.depth is 18, expected one of: 50, 101"),
        ("i3d", ["model.arguments.non_local=gauss"], "non_local is 'gauss' (str), expected embedded_gaussian"),
        ("x3d", ["model.arguments.depth=18"], "it takes none"),
    ],
)
def test_options_that_give_no_network_are_refused(name, entries, message):
    with pytest.raises(RequestError) as caught:
        build_network(small(name, *entries))
    assert message in caught.value.line()


def test_any_number_of_channels_that_a_network_takes(tmp_path):
    for channels in (1, 2):
        statistics = [0.5] * channels
        sets = [f"input.shape=[{channels},4,32,32]", f"transform.mean={statistics}", f"transform.std={statistics}"]
        made = small("tsm", *sets)
        path = tmp_path / f"flow{channels}.pth"
        torch.save({"state_dict": build_network(made).state_dict()}, path)
        _, record, _, _ = exported(tmp_path, made, batch=1, path=path)
        assert record.inputs[0].shape == (1, channels, 4, 32, 32)
