"""The full-size networks against the golden vectors: names, order, logits of MindSpore, logits of the ONNX graph.

3-D convolutions run MindSpore's reference code on a CPU, so it computes the golden logits of the small input; those of
the full input are computed by ONNX Runtime on the exported graph.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Tuple

import mindspore
import numpy as np
import onnxruntime
import pytest
from mindspore import nn

from clip2om.export.mindspore import context
from clip2om.export.mindspore.deployed import deployed
from clip2om.export.mindspore.graph_files import onnx_graph_of
from clip2om.export.mindspore.names import mindspore_from_pytorch
from clip2om.export.mindspore.networks import build_network
from clip2om.export.request import ExportRequest
from clip2om.pipeline import cards
from clip2om.pipeline.card import Card
from clip2om.pipeline.tensor import DYNAMIC
from tests import networks
from tests.export.mindspore import small

RESNET3D, R2PLUS1D = "resnet3d_mindspore", "r2plus1d_mindspore"
# Card, overrides, and the PyTorch network whose renamed weights it has, if any.
GOLDEN: Dict[str, Tuple[str, Tuple[str, ...], str]] = {
    "ms-resnet3d-50-c51": (RESNET3D, (), ""),
    "ms-resnet3d-50-c101": (RESNET3D, ("model.classes=101",), ""),
    "ms-resnet3d-50-from-resnet-50": (RESNET3D, (), "resnet-50"),
    "ms-r2plus1d-18": (R2PLUS1D, ("model.arguments.depth=18",), ""),
    "ms-r2plus1d-34": (R2PLUS1D, (), ""),
    "ms-r2plus1d-34-from-gluon": (R2PLUS1D, ("model.classes=400",), "gluon-r2plus1d-34"),
}
SLOW = {"ms-r2plus1d-18", "ms-r2plus1d-34", "ms-r2plus1d-34-from-gluon"}
CASES = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in GOLDEN]


def golden_network(name: str) -> Tuple[Card, nn.Cell]:
    model, overrides, source = GOLDEN[name]
    card = cards.load(model, (*overrides, "export.softmax=false"))
    context.prepare()
    network = build_network(card)
    if not source:
        return card, small.filled(network, small.weights(network, name))
    state = {key: networks.weight(source, key, tuple(shape)) for key, shape, _ in networks.load(source)[0]["params"]}
    renamed, dropped = mindspore_from_pytorch(state)
    assert {key.rpartition(".")[2] for key in dropped} == {"num_batches_tracked"}
    assert list(renamed) == [parameter.name for parameter in network.get_parameters()]
    return card, small.filled(network, renamed)


@pytest.mark.parametrize("name", [name for name, (_, _, source) in GOLDEN.items() if not source])
def test_parameters_have_the_names_shapes_and_order_of_checkpoints(name: str) -> None:
    model, overrides, _ = GOLDEN[name]
    found = [[p.name, list(p.shape), "float32"] for p in build_network(cards.load(model, overrides)).get_parameters()]
    assert found == networks.load(name)[0]["params"]


@pytest.mark.parametrize("name", CASES)
def test_golden_logits(name: str, tmp_path: Path) -> None:
    card, network = golden_network(name)
    description, expected = networks.load(name)
    small_clips = networks.clips(description["hash_name"], description["small_input_shape"])
    assert networks.close(network(mindspore.Tensor(small_clips)).asnumpy(), expected["logits_small_f64"])

    asked = ExportRequest(card, tmp_path, "", tmp_path, "onnx", DYNAMIC, "float32", 11, 1e-4)
    model = onnx_graph_of(deployed(network, asked), asked)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    # Of GluonCV's weights there is no vector of its own: the logits are those of its PyTorch network.
    whole = expected if "logits_f64" in expected else networks.load(GOLDEN[name][2])[1]
    clips = networks.clips(description["hash_name"], description["logical_clips_NCTHW"])
    found = session.run(None, {"x": np.concatenate([clips[:, :, ::-1], clips])})[0]
    assert networks.close(found[1:], whole["logits_f64"])
    assert not networks.close(found[:1], whole["logits_f64"])
