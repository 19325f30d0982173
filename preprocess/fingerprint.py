"""What decides the values of a card's tensors."""

from __future__ import annotations

from typing import Sequence

from clip2om.pipeline.card import Card, Dataset
from clip2om.pipeline.card_sampling import needs_rate
from clip2om.pipeline.manifest import Fingerprint

_DECODERS = {
    "frames": "JPEG, libjpeg slow integer IDCT, smooth chroma (Pillow)",
    "video": "FFmpeg to rgb24 by libavfilter's scale, bicubic, matrix and range of the frame (PyAV)",
}
_ROUNDING = {
    "pil-bilinear": "uint8 after each pass, horizontal first; float32 after each normalisation step",
    "cv2-linear": "11-bit weights, uint8 after both passes; float32 after each normalisation step",
    "torch-linear": "float32, uint8 after both passes (halves to even); float32 after each normalisation step",
    "torch-linear-float": "float32 after each pass and each normalisation step",
}


def fingerprint(card: Card, source_kinds: Sequence[str], max_clips: int, views: int = 0) -> Fingerprint:
    """Return what decides the values of the card's tensors for sources of the given kinds (frames, video).

    ``views`` is how many views of a video were asked for, 0 for all.
    """
    transform, clips = card.transform, card.clips
    by_name = clips.order == "lexicographic"
    return Fingerprint(
        decoder=" + ".join(_decoder(kind, card.dataset) for kind in sorted(source_kinds)),
        kernel=transform.kernel,
        antialias=transform.kernel == "pil-bilinear",
        rounding=_ROUNDING[transform.kernel],
        resize=transform.resize,
        crop=transform.crop,
        size=transform.size,
        color=transform.color,
        scale=transform.scale,
        mean=transform.mean,
        std=transform.std,
        sampler=clips.sampler,
        frames=clips.frames,
        stride=clips.stride,
        max_clips=max_clips,
        rule=transform.rule,
        long=transform.long,
        side_rounding=transform.rounding,
        mean_volume=card.mean_volume_digest(),
        count=clips.count,
        start=clips.start,
        seed=clips.seed,
        span=clips.span,
        order=f"{clips.order} by {card.dataset.frame_name}" if by_name else clips.order,
        interval=clips.interval,
        rate=clips.rate,
        beyond=clips.beyond,
        twice=clips.twice,
        positions=clips.positions,
        source_rate=card.dataset.rate if needs_rate(clips) else 0.0,
        flip=transform.flip,
        views=views,
    )


def _decoder(kind: str, dataset: Dataset) -> str:
    """Return how frames are decoded; what a card leaves at its default is named where the other way is usual too."""
    turned = {"frames": dataset.turn_frames, "video": dataset.turn_videos}[kind]
    ways = {"frames": ("", ", turned by EXIF"), "video": (", as stored", ", turned by the display matrix")}
    return _DECODERS[kind] + ways[kind][turned]
