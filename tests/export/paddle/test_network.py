"""The C3D of PaddleC3D: names, shapes and numbers, small and at full size."""

import numpy as np
import onnx
import paddle
import pytest

from clip2om.export import onnx_graph
from clip2om.export.paddle.c3d import C3d, Head
from clip2om.export.paddle.exporter import export_graph
from clip2om.export.paddle.networks import build_network
from clip2om.export.request import ExportRequest
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from tests import networks
from tests.export.paddle import small


def run(network, values):
    network.eval()
    with paddle.no_grad():
        return network(paddle.to_tensor(values)).numpy()


def loaded(*overrides):
    network = build_network(small.card(*overrides))
    network.set_state_dict(small.weights(network))
    return network


def test_names_and_shapes_are_those_of_published_checkpoints():
    description, _ = networks.load("c3d-paddle")
    with paddle.LazyGuard():
        state = C3d((3, 16, 112, 112), 101).state_dict()
    assert [[name, list(value.shape), "float32"] for name, value in state.items()] == description["params"]


def test_several_clips_give_the_rows_of_single_ones_or_their_mean():
    clips = networks.clips("small", (4, *small.SHAPE))
    rows = run(loaded(*small.SINGLE), clips)
    pairs = clips.reshape(2, 2, *small.SHAPE)
    assert np.allclose(run(loaded(*small.SEVERAL), pairs), rows.reshape(2, 2, 5), atol=1e-6)
    assert np.allclose(run(loaded(*small.AVERAGED), pairs), rows.reshape(2, 2, 5).mean(1), atol=1e-6)
    odds = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
    both = loaded(*small.AVERAGED, "export.softmax=true")
    assert np.allclose(run(both, pairs), odds.reshape(2, 2, 5).mean(1), atol=1e-6)
    assert np.ptp(rows) > 0.1


@pytest.mark.slow
def test_full_size_network_and_graph_equal_the_golden_vectors(tmp_path):
    description, expected = networks.load("c3d-paddle")
    single, several = C3d((3, 16, 112, 112), 101), C3d((3, 16, 112, 112), 101, head=Head(2, average=True))
    state = small.weights(single, "c3d-paddle")
    paddle.save(state, str(tmp_path / "golden.pdparams"))
    single.set_state_dict(state)
    several.set_state_dict(state)
    clips = networks.clips("c3d-paddle", description["logical_clips_NCTHW"])
    assert networks.close(run(single, clips), expected["logits_f64"])
    assert networks.close(run(several, clips[None]), expected["logits_avg_f64"])
    request = ExportRequest(
        small.card(), tmp_path / "golden.pdparams", "", tmp_path / "graph", "onnx", -1, "float32", 11, 1e-4
    )
    export_graph(request, Console("test", quiet=True))
    model = onnx.load(str(tmp_path / "graph" / "model.onnx"))
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["clip", "logits"]
    assert networks.close(onnx_graph.run(tmp_path / "graph" / "model.onnx", [clips]), expected["logits_f64"])


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("model.network=resnet3d", "model.network is 'resnet3d', for Paddle expected one of: c3d"),
        ("model.arguments.same_padding=true", "model.arguments.same_padding is True, which Paddle's c3d does not take"),
        ("model.arguments.depth=18", "model.arguments.depth is 18, which Paddle's c3d does not take"),
        ("export.pooling=mean", "export.pooling is 'mean', c3d has no pooling head"),
        ("export.batch_accuracy=true", "export.batch_accuracy is for TensorFlow cards"),
        ("export.average_clips=true", "layout NCTHW has no clips to average"),
        ("model.arguments.widen_factor=0.001", "which leaves no channels"),
        ("input.layout=NTHWC", "input.layout is 'NTHWC', Paddle networks take NCTHW or NKCTHW"),
        ("clips.frames=8", "clips of 8x32x32 are too small, C3D takes 16x16x16 or more"),
    ],
)
def test_card_that_fits_no_network_is_refused(entry, words):
    shape = {"input.layout=NTHWC": [16, 32, 32, 3], "clips.frames=8": [3, 8, 32, 32]}.get(entry, small.SHAPE)
    with pytest.raises(RequestError) as caught:
        build_network(small.card(*small.SMALL, entry, f"input.shape={shape}"))
    assert words in caught.value.line() and "c3d_paddle.toml" in caught.value.line()
