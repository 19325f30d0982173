"""What a model card may hold, beyond the types of its keys."""

from __future__ import annotations

import math

from clip2om.pipeline.card import Card
from clip2om.pipeline.card_sampling import BEYOND, SAMPLERS, check_sampling
from clip2om.pipeline.card_views import AVERAGING, CROPS, KERNELS, ROUNDINGS, check_views, views_per_video
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.frame_names import is_frame_format
from clip2om.pipeline.naming import is_plain_name
from clip2om.pipeline.tensor import DTYPES

# Of clips, frames, pixels of a side, classes: more than any of them has, and what a plan still can be made of.
_MOST = 1 << 16
# In one batch, 32 GB of float32.
_MOST_VALUES = 1 << 33
_CHOICES = {
    "model.framework": ("pytorch", "tensorflow", "paddle", "mindspore", "onnx"),
    "input.dtype": DTYPES,
    "input.fold": ("", "T", "KT"),
    "clips.sampler": SAMPLERS,
    "clips.beyond": ("", *BEYOND),
    "clips.start": ("first", "center", "even", "random"),
    "clips.order": ("numeric", "lexicographic"),
    "transform.kernel": KERNELS,
    "transform.crop": CROPS,
    "transform.color": ("RGB", "BGR"),
    "transform.rule": ("short", "height", "box", "stretch"),
    "transform.rounding": ROUNDINGS,
    "dataset.format": ("activitynet", "list", "rawframes", "folders"),
    "export.format": ("", "onnx", "pb", "mindir", "air"),
    "export.pooling": ("global", "average", "mean"),
    "scores.activation": ("softmax", "none"),
    "scores.averaging": AVERAGING,
    "scores.rows": ("clip", "frame"),
}


def check(card: Card) -> None:
    """Refuse a card with an impossible value.

    Raises:
        RequestError: naming file and key, what was found and what was expected.
    """
    for key, choices in _CHOICES.items():
        section, name = key.split(".")
        value = getattr(getattr(card, section), name)
        if value not in choices:
            raise RequestError(f"{key} is {value!r}, expected one of: {', '.join(choices)}", card.path)
    _check_sizes(card)
    # dataset.labels may be the path of a file: a user's own card and labels lie anywhere.
    if not is_plain_name(card.dataset.name):
        raise RequestError(f"dataset.name is {card.dataset.name!r}, expected a plain name", card.path)
    if not is_frame_format(card.dataset.frame_name):
        raise RequestError(
            f"dataset.frame_name is {card.dataset.frame_name!r}, expected a name such as image_{{:05d}}.jpg", card.path
        )
    if card.export.softmax and card.scores.activation == "softmax":
        raise RequestError(
            "export.softmax and scores.activation softmax are the same step twice",
            card.path,
            "--set scores.activation=none, or --set export.softmax=false",
        )
    _check_clips(card)
    check_views(card.transform, card.path)
    _check_shapes(card)


def _check_sizes(card: Card) -> None:
    positive = {
        "model.classes": card.model.classes,
        "input.batch": card.input.batch,
        "clips.frames": card.clips.frames,
        "clips.count": card.clips.count,
        "transform.resize": card.transform.resize,
        "transform.size": card.transform.size,
    }
    if card.clips.sampler == "windows":
        positive["clips.stride"] = card.clips.stride
    if card.clips.sampler == "spread":
        positive["clips.span"] = card.clips.span
    if card.transform.rule in ("box", "stretch"):
        positive["transform.long"] = card.transform.long
    for key, value in positive.items():
        if not 1 <= value <= _MOST:
            raise RequestError(
                f"{key} is {value}, expected {'1 or more' if value < 1 else f'at most {_MOST}'}", card.path
            )
    if min(card.clips.max_clips, card.clips.seed, card.dataset.first_frame) < 0:
        raise RequestError("clips.max_clips, clips.seed and dataset.first_frame are 0 or more", card.path)
    if math.prod(card.input.shape) * card.input.batch > _MOST_VALUES:
        raise RequestError(f"a batch has more than {_MOST_VALUES} values: check input.batch and clips", card.path)


def _check_clips(card: Card) -> None:
    clips, several = card.clips, card.input.of_videos
    check_sampling(clips, card.dataset.rate, card.path)
    if clips.start != "even" and clips.count > 1 and clips.sampler in ("consecutive", "spread"):
        raise RequestError(f"clips.count is {clips.count}, which takes clips.start even, not {clips.start}", card.path)
    where = "fold KT" if card.input.fold else f"layout {card.input.layout}"
    if several and (not views_per_video(card.clips, card.transform) or clips.max_clips):
        raise RequestError(
            f"input.{where} takes the same number of clips of every video",
            card.path,
            f"use another clips.sampler than {clips.sampler}, and no clips.max_clips",
        )


def _check_shapes(card: Card) -> None:
    transform, layout = card.transform, card.input.layout
    if card.input.fold:
        _check_folded(card)
    head = "NK" if layout.startswith("NK") else "N"
    axes = "CHW" if card.input.fold else "CTHW"
    if not layout.startswith(head) or sorted(layout[len(head) :]) != sorted(axes):
        raise RequestError(
            f"input.layout is {layout!r}, expected N (or NK, K clips of one video) then C, T, H, W in any order",
            card.path,
        )
    channels = len(transform.mean)
    expected = {
        "K": views_per_video(card.clips, card.transform),
        "C": channels,
        "T": card.clips.frames,
        "H": transform.size,
        "W": transform.size,
    }
    shape = tuple(expected[axis] for axis in layout[1:])
    if shape != card.input.shape:
        raise RequestError(
            f"input.shape is {list(card.input.shape)}, but clips and transform give {list(shape)} in layout {layout}",
            card.path,
        )
    if channels < 1 or len(transform.std) != channels or 0 in transform.std or transform.scale == 0:
        raise RequestError(
            f"transform.mean has {channels} numbers, transform.std {len(transform.std)}: each has one for every "
            "channel, std and scale not 0",
            card.path,
        )
    if transform.size > transform.resize:
        raise RequestError(
            f"transform.size {transform.size} is larger than transform.resize {transform.resize}", card.path
        )


def _check_folded(card: Card) -> None:
    if card.transform.mean_volume:
        raise RequestError("transform.mean_volume is of whole clips, input.fold of frames", card.path, "leave one out")
    if "K" in card.input.layout or "T" in card.input.layout:
        raise RequestError(
            f"input.fold {card.input.fold} puts frames along N, input.layout {card.input.layout} has an axis for them",
            card.path,
            "--set input.layout=NCHW, or leave fold out",
        )
