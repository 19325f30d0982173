"""The crops that a card may name, how many of them a frame has, and in which order views follow each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Set, Tuple

from clip2om.pipeline.card_parts import Clips, Transform
from clip2om.pipeline.card_sampling import views_of
from clip2om.pipeline.errors import RequestError

KERNELS = ("pil-bilinear", "cv2-linear", "torch-linear", "torch-linear-float")
AVERAGING = ("mean", "largest", "votes")
ROUNDINGS = ("truncate", "next", "nearest", "ratio")


@dataclass(frozen=True)
class Kind:
    """A rule for crops.

    Attributes:
        says: One line for a person.
        crops: Names of the crops in the original's order, without their mirror images.
        mirrored: Each crop is followed by its mirror image in the original.
        crop_major: All clips of the first crop come first (mmaction2); otherwise all crops of the first clip.
        flush: The shorter side must become the size of the crop.
    """

    says: str
    crops: Tuple[str, ...] = ("center",)
    mirrored: bool = False
    crop_major: bool = False
    flush: bool = False


_CORNERS = ("upper left", "upper right", "lower left", "lower right", "center")
KINDS: Dict[str, Kind] = {
    "center": Kind("half a pixel to even (torchvision, TSM)"),
    "center-floor": Kind("half a pixel down (mmaction2, transformers)"),
    "center-ceil": Kind("half a pixel up (PySlowFast, pytorchvideo)"),
    "mmaction2-three": Kind("ThreeCrop", ("first", "last", "center"), crop_major=True, flush=True),
    "mmaction2-ten": Kind("TenCrop", _CORNERS, True, True),
    "pyslowfast-three": Kind("uniform_crop of PySlowFast and pytorchvideo", ("first", "center", "last")),
    "tsm-three": Kind("GroupFullResSample, horizontal only", ("left", "right", "center"), crop_major=True),
    "tsm-five": Kind("GroupOverSample without flips", _CORNERS, crop_major=True),
    "tsm-ten": Kind("GroupOverSample", _CORNERS, True, True),
    "videomae-three": Kind("VideoMAE's test crops", ("first", "center", "last"), flush=True),
}
CROPS = tuple(KINDS)


def crop_names(transform: Transform) -> List[str]:
    """Return the names of a frame's crops in their order; a mirror image follows what it mirrors."""
    kind = KINDS[transform.crop]
    both = kind.mirrored or transform.flip
    return [name for crop in kind.crops for name in ((crop, f"{crop}, mirrored") if both else (crop,))]


def view_order(transform: Transform, clips: int) -> List[Tuple[int, int]]:
    """Return (clip, crop) of every view of a video of ``clips`` clips, in the original's order."""
    crops = len(crop_names(transform))
    if KINDS[transform.crop].crop_major:
        return [(clip, crop) for crop in range(crops) for clip in range(clips)]
    return [(clip, crop) for clip in range(clips) for crop in range(crops)]


def views_per_video(clips: Clips, transform: Transform) -> int:
    """Return how many views every video has, 0 where that depends on the video."""
    return views_of(clips) * len(crop_names(transform))


def chosen_views(transform: Transform, clips: int, views: int) -> List[Tuple[int, int]]:
    """Return ``views`` of a video's views, always the same ones, in the original's order.

    Clips go before crops: first clips evenly spaced with the crop in the middle, then the other crops of as many.
    """
    names = crop_names(transform)
    nearest = sorted(range(len(names)), key=lambda crop: (not names[crop].startswith("center"), crop))
    taken: Set[Tuple[int, int]] = set()
    for crop in nearest:
        left = min(views - len(taken), clips)
        taken |= {((2 * place + 1) * clips // (2 * left), crop) for place in range(left)}
    return [view for view in view_order(transform, clips) if view in taken]


def check_views(transform: Transform, where: str) -> None:
    """Refuse a crop that the resize does not fit, and a kernel that the dtype cannot hold.

    Raises:
        RequestError: naming the key.
    """
    kind = KINDS[transform.crop]
    if kind.flush and (transform.rule != "short" or transform.resize != transform.size):
        raise RequestError(
            f"transform.crop {transform.crop} takes frames whose shorter side is the crop's, not {transform.resize} "
            f"by rule {transform.rule} for {transform.size}",
            where,
            f"--set transform.resize={transform.size}",
        )
    if transform.rounding == "ratio" and transform.rule != "short":
        raise RequestError("transform.rounding ratio goes with rule short", where, "--set transform.rule=short")
    if transform.flip and kind.mirrored:
        raise RequestError(f"transform.crop {transform.crop} has the mirror images already", where, "leave flip out")
