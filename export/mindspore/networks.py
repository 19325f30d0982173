"""From a model card to its MindSpore network, chosen by ``model.network``."""

from __future__ import annotations

from mindspore import nn

from clip2om.export.entries import check_entries
from clip2om.export.mindspore.r2plus1d import R2Plus1d
from clip2om.export.mindspore.recognition import R2PLUS1D, R2PLUS1D_DEPTHS, RESNET3D, RESNET3D_DEPTHS
from clip2om.export.mindspore.resnet3d import ResNet3d
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError

_BOTH = frozenset({"depth", "shortcut", "widen_factor"})
_TAKES = {
    RESNET3D: _BOTH | {"conv1_t_size", "conv1_t_stride", "no_max_pool", "same_padding"},
    R2PLUS1D: _BOTH,
}


def build_network(card: Card) -> nn.Cell:
    """Return the card's network without weights, in evaluation mode.

    It maps normalised clips, float32 (N, 3, T, H, W), to logits, float32 (N, classes).

    Raises:
        RequestError: no such network, a parameter it does not take, or an input layout other than NCTHW.
    """
    families = {RESNET3D: _resnet3d, R2PLUS1D: _r2plus1d}
    model = card.model
    if model.network not in families:
        raise RequestError(
            f"model.network is {model.network!r}, MindSpore has: {', '.join(families)}", card.path or card.name
        )
    if card.input.layout != "NCTHW":
        raise RequestError(f"input.layout is {card.input.layout!r}, MindSpore's networks take NCTHW", card.path)
    check_entries(card, _TAKES[model.network], f"MindSpore's {model.network}")
    if model.shortcut != "B":
        raise RequestError(f"model.shortcut is {model.shortcut!r}, MindSpore's networks have B", card.path)
    if int(64 * model.widen_factor) < 1 or (model.network == R2PLUS1D and int(45 * model.widen_factor) < 1):
        raise RequestError(
            f"model.widen_factor {model.widen_factor} leaves the stem without channels", card.path, "use 1/32 or more"
        )
    return families[model.network](card).set_train(False)


def _resnet3d(card: Card) -> nn.Cell:
    model = card.model
    if model.conv1_t_size < 1 or model.conv1_t_stride < 1:
        raise RequestError(
            f"model.conv1_t_size is {model.conv1_t_size}, model.conv1_t_stride is {model.conv1_t_stride}, expected 1 "
            "or more",
            card.path,
        )
    bottleneck, blocks = _of_depth(card, RESNET3D_DEPTHS)
    return ResNet3d(
        bottleneck,
        blocks,
        model.classes,
        widen_factor=model.widen_factor,
        conv1_t_size=model.conv1_t_size,
        conv1_t_stride=model.conv1_t_stride,
        no_max_pool=model.no_max_pool,
    )


def _r2plus1d(card: Card) -> nn.Cell:
    return R2Plus1d(_of_depth(card, R2PLUS1D_DEPTHS), card.model.classes, card.model.widen_factor)


def _of_depth(card: Card, depths: dict) -> tuple:
    if card.model.depth not in depths:
        raise RequestError(
            f"model.depth is {card.model.depth}, {card.model.network} has: {', '.join(map(str, depths))}", card.path
        )
    return depths[card.model.depth]
