"""From a model card to its MindSpore network, chosen by ``model.network``."""

from __future__ import annotations

from typing import Any, Callable, Dict

from mindspore import nn

from clip2om.export.entries import check_entries
from clip2om.export.mindspore.r2plus1d import R2Plus1d
from clip2om.export.mindspore.recognition import (
    R2PLUS1D,
    R2PLUS1D_DEPTHS,
    RESNET3D,
    RESNET3D_DEPTHS,
    R2Plus1dOptions,
    ResNet3dOptions,
    options_of,
)
from clip2om.export.mindspore.resnet3d import ResNet3d
from clip2om.pipeline.card import Card
from clip2om.pipeline.errors import RequestError


def build_network(card: Card) -> nn.Cell:
    """Return the card's network without weights, in evaluation mode.

    It maps normalised clips, float32 (N, 3, T, H, W), to logits, float32 (N, classes).

    Raises:
        RequestError: no such network, a parameter it does not take, or an input layout other than NCTHW.
    """
    families: Dict[str, Callable[[Any, Card], nn.Cell]] = {RESNET3D: _resnet3d, R2PLUS1D: _r2plus1d}
    model = card.model
    if model.network not in families:
        raise RequestError(
            f"model.network is {model.network!r}, MindSpore has: {', '.join(families)}", card.path or card.name
        )
    if card.input.layout != "NCTHW":
        raise RequestError(f"input.layout is {card.input.layout!r}, MindSpore's networks take NCTHW", card.path)
    check_entries(card)
    options = options_of(card)
    if options.shortcut != "B":
        raise RequestError(f"model.arguments.shortcut is {options.shortcut!r}, MindSpore's networks have B", card.path)
    if int(64 * options.widen_factor) < 1 or (model.network == R2PLUS1D and int(45 * options.widen_factor) < 1):
        raise RequestError(
            f"model.arguments.widen_factor {options.widen_factor} leaves the stem without channels",
            card.path,
            "use 1/32 or more",
        )
    return families[model.network](options, card).set_train(False)


def _resnet3d(options: ResNet3dOptions, card: Card) -> nn.Cell:
    if options.conv1_t_size < 1 or options.conv1_t_stride < 1:
        raise RequestError(
            f"model.arguments.conv1_t_size is {options.conv1_t_size}, model.arguments.conv1_t_stride is "
            f"{options.conv1_t_stride}, expected 1 or more",
            card.path,
        )
    bottleneck, blocks = _of_depth(options.depth, card, RESNET3D_DEPTHS)
    return ResNet3d(
        bottleneck,
        blocks,
        options.classes,
        widen_factor=options.widen_factor,
        conv1_t_size=options.conv1_t_size,
        conv1_t_stride=options.conv1_t_stride,
        no_max_pool=options.no_max_pool,
    )


def _r2plus1d(options: R2Plus1dOptions, card: Card) -> nn.Cell:
    return R2Plus1d(_of_depth(options.depth, card, R2PLUS1D_DEPTHS), options.classes, options.widen_factor)


def _of_depth(depth: int, card: Card, depths: dict) -> tuple:
    if depth not in depths:
        raise RequestError(
            f"model.arguments.depth is {depth}, {card.model.network} has: {', '.join(map(str, depths))}", card.path
        )
    return depths[depth]
