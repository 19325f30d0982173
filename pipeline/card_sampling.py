"""The samplers that a card may name, and which keys of ``[clips]`` each takes.

A published figure belongs to a library's rule, and under one config two generations of a library choose other frames:
hence the names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, FrozenSet, Tuple

from clip2om.pipeline.card_parts import Clips
from clip2om.pipeline.errors import RequestError

BEYOND = ("loop", "repeat-last", "hold", "zero")
# What later keys have where a card does not name them.
_DEFAULTS = {"interval": 1, "rate": 0.0, "beyond": "", "twice": False, "positions": 10}


@dataclass(frozen=True)
class Kind:
    """A sampler.

    Attributes:
        says: One line for a person, with the library's own name.
        takes: Keys beside ``frames`` and ``count`` that it knows of those in :data:`_DEFAULTS`.
        rate: ``clips.rate`` must be given.
        most: Largest ``count`` (0: any).
    """

    says: str
    takes: FrozenSet[str] = frozenset()
    rate: bool = False
    most: int = 0


def _kind(says: str, takes: str = "", rate: bool = False, most: int = 0) -> Kind:
    return Kind(says, frozenset(takes.split()), rate, most)


KINDS: Dict[str, Kind] = {
    "windows": _kind("all windows, stride frames apart", "rate"),
    "uniform": _kind("clips in the middle of equal parts", "rate"),
    "consecutive": _kind("clips of neighbouring frames", "rate"),
    "spread": _kind("frames spread over span frames", "rate"),
    "mmaction2-0x": _kind("mmaction2 0.x, SampleFrames: clips in the middle of equal parts", "interval beyond twice"),
    "mmaction2-1x": _kind(
        "mmaction2 1.x, SampleFrames: from the beginning to the end; rate is its target_fps",
        "interval rate beyond twice",
    ),
    "mmaction2-dense": _kind("mmaction2, DenseSampleFrames of clips (I3D dense)", "interval positions"),
    "mmaction2-uniform": _kind("mmaction2 1.x, UniformSample; UniFormer's for Something-Something"),
    "mmaction2-untrimmed": _kind("mmaction2, UntrimmedSampleFrames: a clip around every stride-th frame"),
    "segments": _kind("TSN and TSM: a frame in the middle of each of `frames` parts", "twice", most=1),
    "segments-dense": _kind("TSM's and TSN's dense sampling: `frames` frames over span (64)", "positions", most=1),
    "segments-val": _kind(
        "TSM's validation in training: frame 1 alone where there are no more than parts", "", False, 1
    ),
    "pyslowfast": _kind("PySlowFast: uniform views at a target rate", "interval rate", True),
    "pyslowfast-offset": _kind("PySlowFast, USE_OFFSET_SAMPLING (MViT, UniFormer)", "interval rate", True),
    "pyslowfast-2020": _kind("PySlowFast's decoder of 2020: starts rounded up", "interval rate", True),
    "pyslowfast-segments": _kind("PySlowFast, Something-Something: a frame per part", "", False, 1),
    "pytorchvideo": _kind("pytorchvideo, ConstantClipsPerVideoSampler: to the end", "interval rate", True),
    "pytorchvideo-uniform": _kind("pytorchvideo, UniformClipSampler: a clip after the other", "interval rate", True),
    "torchvision": _kind("torchvision, UniformClipSampler over windows of the resampled video", "rate beyond"),
    "videomae": _kind("VideoMAE, VideoClsDataset: every interval-th frame, then windows", "interval"),
    "videomae-segments": _kind("VideoMAE, SSVideoClsDataset: 2 clips of interleaved frames", "", False, 1),
}
SAMPLERS = tuple(KINDS)
# Which of them leaves the number of clips to the video.
_ANY_NUMBER = ("windows", "mmaction2-untrimmed", "pytorchvideo-uniform")


def needs_rate(clips: Clips) -> bool:
    """True where clips depend on how many frames per second a video has."""
    return clips.rate > 0 or KINDS[clips.sampler].rate


def views_of(clips: Clips) -> int:
    """Return how many clips every video gives, 0 where that depends on the video."""
    if clips.sampler in _ANY_NUMBER:
        return 0
    if clips.sampler in ("mmaction2-dense", "segments-dense"):
        return clips.count * clips.positions
    if clips.sampler == "videomae-segments":
        return 2
    if clips.twice and clips.sampler == "mmaction2-0x":
        # A short video has half as many there.
        return 0
    return clips.count * (2 if clips.twice else 1)


def check_sampling(clips: Clips, source_rate: float, where: str) -> None:
    """Refuse keys that the sampler does not take, and values that it cannot use; ``where`` is the card.

    Raises:
        RequestError: naming the key.
    """
    kind = KINDS[clips.sampler]
    for key, default in _DEFAULTS.items():
        if getattr(clips, key) != default and key not in kind.takes:
            users = ", ".join(name for name, other in KINDS.items() if key in other.takes)
            raise RequestError(
                f"clips.{key} is {getattr(clips, key)!r}, which sampler {clips.sampler} does not know",
                where,
                f"leave it out, or take one of: {users}",
            )
    for key, value in (("interval", clips.interval), ("positions", clips.positions)):
        if not 1 <= value <= 1 << 16:
            raise RequestError(f"clips.{key} is {value}, expected 1 to {1 << 16}", where)
    for key, rate in (("clips.rate", clips.rate), ("dataset.rate", source_rate)):
        if not (rate == 0 or 0.01 <= rate <= 1000):
            raise RequestError(f"{key} is {rate}, expected 0.01 to 1000 frames per second", where)
    if kind.rate and not clips.rate:
        raise RequestError(
            f"sampler {clips.sampler} takes clips.rate, the frames per second that clips.interval is meant at",
            where,
            "--set clips.rate=30 is the libraries' own",
        )
    if kind.most and clips.count > kind.most:
        raise RequestError(f"clips.count is {clips.count}, sampler {clips.sampler} takes {kind.most}", where)
    _check_special(clips, where)


def _check_special(clips: Clips, where: str) -> None:
    dense: Tuple[str, ...] = ("mmaction2-dense", "segments-dense")
    if clips.sampler in dense and max(clips.count, clips.frames if clips.sampler == dense[1] else 1) > (
        clips.span or 64
    ):
        raise RequestError(
            f"a dense sampler has {clips.span or 64} frames to choose from", where, "take fewer frames or clips"
        )
    if clips.sampler == "mmaction2-1x" and clips.twice and clips.count == 1 and clips.frames > 1:
        raise RequestError("clips.twice with one clip divides by zero in mmaction2 1.x", where, "leave it out")
    if clips.sampler == "mmaction2-1x" and clips.twice and clips.rate:
        raise RequestError("clips.twice and clips.rate do not go together", where, "leave one of them out")
    if clips.sampler == "mmaction2-untrimmed" and not 1 <= clips.stride <= 1 << 16:
        raise RequestError(f"clips.stride is {clips.stride}, expected 1 or more", where)
    if clips.sampler == "torchvision" and clips.beyond not in ("", "hold"):
        raise RequestError(
            f"clips.beyond is {clips.beyond!r}: torchvision skips a video without a whole clip; hold repeats its end",
            where,
            "leave it out, or --set clips.beyond=hold",
        )
