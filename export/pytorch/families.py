"""Which network a state dict belongs to and with which parameters, read from its names and shapes."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional

from torch import Tensor

from clip2om.export.pytorch.densenet3d import DENSENET_DEPTHS, GROWTH, STEM
from clip2om.export.pytorch.r2plus1d import R2PLUS1D_DEPTHS
from clip2om.export.pytorch.residual import WIDTHS
from clip2om.export.pytorch.resnet3d import BASIC_DEPTHS, BOTTLENECK_DEPTHS, RESNEXT_WIDTHS

State = Dict[str, Tensor]
# Weights that tell a family, with their rank: a 2-D network of the same names has 4 instead of 5.
_LANDMARKS = {
    "densenet": {
        "features.conv1.weight": 5,
        "features.denseblock1.denselayer1.conv2.weight": 5,
        "classifier.weight": 2,
    },
    "c3d": {"backbone.conv1a.conv.weight": 5, "backbone.conv5b.conv.weight": 5, "cls_head.fc_cls.weight": 2},
    "r2plus1d": {
        "conv2.weight": 5,
        "layer1.0.conv1.conv1.weight": 5,
        "layer4.0.conv2.conv2.weight": 5,
        "fc.weight": 2,
    },
    "resnet2p1d": {
        "conv1_s.weight": 5,
        "conv1_t.weight": 5,
        "layer4.0.conv2_t.weight": 5,
        "fc.weight": 2,
    },
    "mc3": {"conv1.weight": 5, "layer1.0.conv1.weight": 5, "layer2.0.conv1.weight": 5, "fc.weight": 2},
    "resnet3d": {
        "conv1.weight": 5,
        "layer1.0.conv1.weight": 5,
        "layer1.0.conv2.weight": 5,
        "layer2.0.conv1.weight": 5,
        "layer2.0.bn1.weight": 1,
        "layer4.0.conv2.weight": 5,
        "fc.weight": 2,
    },
}


def network_of(state: State) -> Optional[str]:
    """Return ``model.network`` of a state dict, or None for any that is not among the networks here."""
    for network, landmarks in _LANDMARKS.items():
        if all(name in state and state[name].dim() == rank for name, rank in landmarks.items()):
            if network == "mc3" and not _is_mc3(state):
                continue
            return _residual_of(state) if network == "resnet3d" else network
    return None


def options_of(state: State, network: str) -> Dict[str, Any]:
    """Return the entries of a card's ``[model]`` that a state dict of ``network`` shows.

    There is no depth if it is no known one. The stem's stride in time and the padding of poolings leave no trace in
    the weights.
    """
    readers: Dict[str, Callable[[State], Dict[str, Any]]] = {
        "densenet": _densenet,
        "c3d": _c3d,
        "r2plus1d": _r2plus1d,
        "mc3": _mc3,
    }
    return readers[network](state) if network in readers else _residual(state, network)


def _is_mc3(state: State) -> bool:
    """Convolutions over time in the first stage alone, and in basic blocks."""
    kernels = [state[f"layer{stage}.0.conv1.weight"].shape[2:] for stage in (1, 2)]
    return kernels == [(3, 3, 3), (1, 3, 3)]


def _residual_of(state: State) -> str:
    if len(state["layer2.0.bn1.weight"]) != len(state["layer2.0.conv1.weight"]):
        return "preresnet"
    narrow = state["layer1.0.conv2.weight"]
    if narrow.shape[1] != len(state["layer1.0.conv1.weight"]):
        return "resnext"
    wide = state.get("layer1.0.conv3.weight", narrow)
    return "wideresnet" if wide.shape[:1] == (2 * len(narrow),) else "resnet3d"


def _residual(state: State, network: str) -> Dict[str, Any]:
    split = network == "resnet2p1d"
    stem = state["conv1_t.weight" if split else "conv1.weight"]
    counts = tuple(_parts(state, f"layer{number}.") for number in (1, 2, 3, 4))
    depths = BOTTLENECK_DEPTHS if "layer1.0.conv3.weight" in state else BASIC_DEPTHS
    options = _depth(depths, counts)
    options["shortcut"] = "B" if "layer2.0.downsample.0.weight" in state else "A"
    width, first = len(state["layer4.0.conv2_t.weight" if split else "layer4.0.conv2.weight"]), WIDTHS[0]
    if network == "resnext":
        grouped = state["layer4.0.conv2.weight"]
        options["cardinality"] = len(grouped) // grouped.shape[1]
        options["widen_factor"] = len(state["layer4.0.conv3.weight"]) / 2 / RESNEXT_WIDTHS[3]
        first = RESNEXT_WIDTHS[0]
    elif network == "wideresnet":
        # Both multiply: a whole multiple of the plain widths is taken for the factor of the family.
        times = max(width // WIDTHS[3], 1) if width % WIDTHS[3] == 0 else 2
        options["wide_resnet_k"] = times
        options["widen_factor"] = width / WIDTHS[3] / times
        first *= times
    else:
        options["widen_factor"] = width / WIDTHS[3]
    options["stem_width"] = _stem(len(stem), first, options["widen_factor"])
    options["conv1_t_size"] = stem.shape[2]
    options["classes"] = len(state["fc.weight"])
    return options


def _densenet(state: State) -> Dict[str, Any]:
    counts = tuple(_parts(state, f"features.denseblock{number}.") for number in (1, 2, 3, 4))
    options, stem = _depth(DENSENET_DEPTHS, counts), state["features.conv1.weight"]
    options["widen_factor"] = len(state["features.denseblock1.denselayer1.conv2.weight"]) / GROWTH
    options["stem_width"] = _stem(len(stem), STEM, options["widen_factor"])
    options["conv1_t_size"] = stem.shape[2]
    options["classes"] = len(state["classifier.weight"])
    return options


def _c3d(state: State) -> Dict[str, Any]:
    return {
        "widen_factor": len(state["backbone.conv5b.conv.weight"]) / WIDTHS[3],
        "classes": len(state["cls_head.fc_cls.weight"]),
    }


def _r2plus1d(state: State) -> Dict[str, Any]:
    options = _depth(R2PLUS1D_DEPTHS, tuple(_parts(state, f"layer{number}.") for number in (1, 2, 3, 4)))
    options["widen_factor"] = len(state["layer4.0.conv2.conv2.weight"]) / WIDTHS[3]
    options["classes"] = len(state["fc.weight"])
    return options


def _mc3(state: State) -> Dict[str, Any]:
    options = _depth(BASIC_DEPTHS, tuple(_parts(state, f"layer{number}.") for number in (1, 2, 3, 4)))
    options["widen_factor"] = len(state["layer4.0.conv2.weight"]) / WIDTHS[3]
    options["classes"] = len(state["fc.weight"])
    return options


def _depth(depths: Dict[int, Any], counts: Any) -> Dict[str, Any]:
    return next(({"depth": depth} for depth, known in depths.items() if known == counts), {})


def _stem(found: int, width: int, factor: float) -> int:
    """Return ``model.stem_width``: 0 where the stem is as wide as the family's."""
    return 0 if found == int(width * factor) else found


def _parts(state: State, prefix: str) -> int:
    return len({name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)})
