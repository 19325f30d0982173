"""What a person points predict at: video files, folders of frames, folders of either, or a stream on standard input."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from clip2om.pipeline.card import Card
from clip2om.pipeline.card_sampling import needs_rate
from clip2om.pipeline.card_views import view_order
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.naming import is_video
from clip2om.pipeline.tensor import TensorSpec
from clip2om.preprocess.clock import Clock, clock_of, fraction_of
from clip2om.preprocess.containers import open_video
from clip2om.preprocess.crops import single
from clip2om.preprocess.errors import BadVideoError
from clip2om.preprocess.pixels import RgbConverter
from clip2om.preprocess.sampling import Sampler, extent
from clip2om.preprocess.sources import Source, index_frames
from clip2om.preprocess.video_files import FrameTimes, Stamps, scan_times
from clip2om.preprocess.worker import iter_clips, recipe_of

STREAM = "-"


@dataclass(frozen=True)
class PlacedClip:
    """One clip of a video, uint8 or float32 in the card's layout, and the frames it shows, counted from 1."""

    first: int
    last: int
    values: np.ndarray


@dataclass
class Video:
    """One video and, once it is read, the reason why it ended early.

    Attributes:
        source: Where its frames are; None for the stream.
        times: When each frame is shown; None where the frames do not tell (folders).
        rate: Frames per second on the average, likewise.
        note: What a person should know of how it was read, else empty.
    """

    path: str
    source: Optional[Source]
    times: Optional[FrameTimes] = None
    rate: Optional[float] = None
    reason: Optional[str] = field(default=None)
    note: str = ""


def find_videos(paths: Sequence[str], card: Card) -> List[Video]:
    """Return the videos at ``paths``; ``-`` is a video on standard input.

    Raises:
        RequestError: there is no video at a path.
    """
    return [video for path in paths for video in _find(path, card)]


def read_clips(video: Video, card: Card, tensor: TensorSpec, sampler: Sampler) -> Iterator[PlacedClip]:
    """Yield the clips of a video in order, those before a damage too: a person asked for this very file."""
    try:
        if video.source is None:
            yield from _stream_clips(video, card, tensor, sys.stdin.buffer)
        else:
            yield from _file_clips(video, video.source, card, tensor, sampler)
    except BadVideoError as reason:
        video.reason = str(reason)


def _find(path: str, card: Card) -> Iterator[Video]:
    if path == STREAM:
        yield Video("standard input", None)
        return
    names, place = card.dataset, Path(path)
    frame_name, first = names.frame_name, names.first_frame
    if place.is_file():
        yield Video(path, Source("video", path, frame_name, first, names.turn_videos))
        return
    if (place / frame_name.format(first)).is_file():
        yield Video(path, Source("frames", path, frame_name, first, names.turn_frames))
        return
    inside = sorted(place.iterdir()) if place.is_dir() else []
    usable = [item for item in inside if is_video(item.name) or (item / frame_name.format(first)).is_file()]
    if not usable:
        raise RequestError(
            f"is no video and no folder of videos, nor of frames ({frame_name.format(first)} is not in it)",
            path,
            "pass video files or folders of them, or name the frames with --set dataset.frame_name=...",
        )
    for item in usable:
        yield from _find(str(item), card)


def _file_clips(video: Video, source: Source, card: Card, tensor: TensorSpec, sampler: Sampler) -> Iterator[PlacedClip]:
    first, damage = source.first_frame, ""
    if source.kind == "video":
        scan = scan_times(source.path)
        damage = scan.damage
        count, video.times, video.rate, video.note = scan.count, scan.times, scan.rate, scan.note
    else:
        count = index_frames(source, None).count
    if not count:
        raise BadVideoError("it has no frames")
    clips = sampler.clips(first, first + count, clock_of(video.times, video.rate or card.dataset.rate, count))
    views = [] if single(card.transform) else view_order(card.transform, len(clips))
    clips = [clips[clip] for clip, _ in views] or clips
    made = iter_clips(source, clips, recipe_of(card, tensor), crops=[crop for _, crop in views])
    # An item of several clips is one video's or nobody's.
    ordered = iter(sorted(made, key=lambda pair: pair[0])) if "K" in tensor.layout or tensor.views > 1 else made
    for index, values in ordered:
        lowest, highest = extent(clips[index])
        yield PlacedClip(lowest - first + 1, highest - first + 1, values)
    if damage:
        raise BadVideoError(damage)


def _stream_clips(video: Video, card: Card, tensor: TensorSpec, stream: BinaryIO) -> Iterator[PlacedClip]:
    """Yield clips that follow each other, as the frames of an endless video arrive."""
    rule = replace(card.clips, start="first", count=1, order="numeric", stride=card.clips.frames)
    span = rule.span if rule.sampler == "spread" else rule.frames * rule.interval
    sampler, recipe = Sampler(rule, card.dataset.frame_name), recipe_of(card, tensor)
    frames, done = _decode(video, stream, card.dataset.turn_videos), 0
    clock = Clock()
    if needs_rate(rule):
        # The first frame tells the rate, as far as the stream does.
        frames = chain(list(islice(frames, 1)), frames)
        rate = video.rate or card.dataset.rate
        clock = Clock(fraction_of(rate) if rate else None)
        span = math.ceil(span * clock.fps / rule.rate)
    while True:
        held = _Held(list(islice(frames, span)))
        if not held.frames:
            break
        shown = len(held.frames)
        for _, values in iter_clips(held, sampler.clips(1, shown + 1, clock)[:1], recipe):
            yield PlacedClip(done + 1, done + shown, values)
        done += shown
    if not done:
        raise BadVideoError("it has no frames")


@dataclass(frozen=True)
class _Held:
    """Frames in memory, counted from 1."""

    frames: List[np.ndarray]

    def read(self, numbers: Sequence[int]) -> Iterator[Tuple[int, np.ndarray]]:
        """Yield (number, frame) for the given frames."""
        return ((number, self.frames[number - 1]) for number in numbers)


def _decode(video: Video, stream: BinaryIO, upright: bool) -> Iterator[np.ndarray]:
    """Yield the frames of a stream as they arrive, and keep when they are shown."""
    converter, stamps = RgbConverter(upright), Stamps()
    try:
        with open_video(stream) as opened:
            for frame in opened.frames():
                stamps.add(frame)
                video.times, video.rate, video.note = stamps.times(opened.rate), opened.rate, opened.note
                yield converter.pixels(frame).copy()
    except BadVideoError as error:
        hint = "" if stamps.count else ": a pipe takes what needs no seeking, for example -f mpegts or -f matroska"
        raise BadVideoError(f"{error}{hint}") from None
