"""The plan: which clip goes into which slot of which file, computed before any frame is decoded.

The plan is what was asked. Where a video proves bad while it is decoded, :func:`without` gives the others its place:
what is made is a plan without such videos.

It depends on the annotation, the files' names, sizes and times, and the options alone, so it is the same however many
workers carry it out, and it tells beforehand what will be written.
"""

from __future__ import annotations

import functools
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Callable, Deque, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from clip2om.pipeline.artifact import digest_of
from clip2om.pipeline.card import Card, Dataset
from clip2om.pipeline.card_sampling import needs_rate
from clip2om.pipeline.card_views import chosen_views, view_order, views_per_video
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.facts import usable_cores
from clip2om.pipeline.manifest import Fingerprint, Skipped
from clip2om.pipeline.tensor import TensorSpec
from clip2om.pipeline.typed import to_dict
from clip2om.preprocess.clock import Clock, fraction_of
from clip2om.preprocess.crops import single
from clip2om.preprocess.entries import Annotation, Entry
from clip2om.preprocess.errors import BadVideoError, is_of_the_run, words
from clip2om.preprocess.fingerprint import fingerprint
from clip2om.preprocess.names import id_names, safe_names
from clip2om.preprocess.protocols import RULES
from clip2om.preprocess.samplers.numbers import BLACK
from clip2om.preprocess.sampling import Clip, Sampler
from clip2om.preprocess.sources import FrameIndex, Source, find_source, index_frames
from clip2om.preprocess.worker import Recipe, recipe_of

_AHEAD = 32
# So many of the files that were passed over are named.
_NAMED = 5


@dataclass(frozen=True)
class Options:
    """What the user chose: see ``python -m preprocess --help``."""

    video_path: str
    layout: str
    batch: int
    dtype: str
    max_clips: int
    file_names: str
    views: int = 0


@dataclass(frozen=True)
class PlannedClip:
    """One clip: its frames and its place; slots count over the clips of a file.

    ``view`` is the number of the clip in its video and that of the crop, where not every view is a clip by itself.
    """

    frames: Clip
    file: int
    slot: int
    view: Optional[Tuple[int, int]] = None

    @property
    def crop(self) -> int:
        """Number of the crop of each frame."""
        return self.view[1] if self.view else 0


@dataclass(frozen=True)
class PlannedVideo:
    """One usable video with its clips in their order; ``signature`` is the digest of the files behind it."""

    entry: Entry
    segment: Tuple[int, int]
    source: Source
    signature: str
    dropped_clips: int
    clips: Tuple[PlannedClip, ...]
    note: str = ""


@dataclass(frozen=True)
class PlannedFile:
    """One output file; ``key`` is the digest of everything that decides its bytes.

    That includes every frame of the videos in it, because a video with one bad frame is left out as a whole.
    """

    name: str
    clips: int
    key: str


@dataclass(frozen=True)
class Plan:
    """All of it; ``tensor`` describes one file, ``skipped`` the videos that have no clips."""

    annotation: Annotation
    layout: str
    file_names: str
    tensor: TensorSpec
    recipe: Recipe
    fingerprint: Fingerprint
    videos: List[PlannedVideo]
    files: List[PlannedFile]
    skipped: List[Skipped]

    @property
    def clips(self) -> int:
        """Number of clips in all files."""
        return sum(len(video.clips) for video in self.videos)

    @property
    def slots(self) -> int:
        """Number of clip slots in all files, padding included."""
        return len(self.files) * self.tensor.clips

    @property
    def notes(self) -> List[str]:
        """What a person should know of how the dataset is read, a line each."""
        others = self.annotation.passed_over
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        passed = [f"{len(others)} files that are no videos by their names: {', '.join(others[:_NAMED])}{more}"]
        return [
            *(passed if others else []),
            *(f"{video.entry.id!r} {video.note}" for video in self.videos if video.note),
        ]

    def key_of(self, video: PlannedVideo) -> str:
        """Return the digest of everything that decides whether a video can be used."""
        return digest_of([to_dict(self.tensor), self.fingerprint.digest, video.entry.id, video.signature])

    def without(self, bad: Mapping[str, str]) -> Plan:
        """Return the plan without the videos ``bad``, by id with the reason; the others keep their clips, not slots.

        A video that is not in the plan is ignored.
        """
        gone = [video.entry for video in self.videos if video.entry.id in bad]
        if not gone:
            return self
        reasons = {item.id: item for item in self.skipped}
        reasons.update({entry.id: Skipped(entry.id, entry.label, bad[entry.id]) for entry in gone})
        skipped = [reasons[entry.id] for entry in self.annotation.entries if entry.id in reasons]
        videos = _placed([video for video in self.videos if video.entry.id not in bad], self.layout, self.tensor.clips)
        files = _files(videos, self.tensor, self.fingerprint, self.layout, self.file_names)
        return replace(self, videos=videos, files=files, skipped=skipped)


def make_plan(card: Card, annotation: Annotation, options: Options) -> Plan:
    """Plan the batches of a subset.

    Raises:
        RequestError: two videos would get the same file name, or an id cannot be one; a layout or a number of clips
            that the card's input cannot take; a mean volume that is none.
    """
    tensor = card.input_spec(1 if options.layout == "per-clip" else options.batch, options.dtype)
    _check(tensor, options)
    _check_views(card, tensor, options)
    recipe = recipe_of(card, tensor)
    found, skipped = _look(card, annotation, options)
    print_of = fingerprint(card, kinds_of(found) or ("frames",), _cap(options), options.views)
    videos = _placed(found, options.layout, tensor.clips)
    files = _files(videos, tensor, print_of, options.layout, options.file_names)
    return Plan(annotation, options.layout, options.file_names, tensor, recipe, print_of, videos, files, skipped)


def kinds_of(videos: Sequence[PlannedVideo]) -> Tuple[str, ...]:
    """Return the kinds of sources (frames, video) that videos have, sorted."""
    return tuple(sorted({video.source.kind for video in videos}))


def _check(tensor: TensorSpec, options: Options) -> None:
    if tensor.clips_per_item == 1 and "K" not in tensor.layout:
        return
    if options.layout == "per-clip":
        raise RequestError(
            f"an item of input {tensor} holds {tensor.clips_per_item} clips of one video",
            "--layout per-clip",
            "take --layout packed, or --layout per-video --batch 1 for one video per file",
        )
    if options.max_clips:
        raise RequestError(f"input {tensor} takes {tensor.clips_per_item} clips of every video", "--max-clips")


def _check_views(card: Card, tensor: TensorSpec, options: Options) -> None:
    """Refuse a protocol that the layout cannot hold, and views that there are not."""
    views = views_per_video(card.clips, card.transform)
    if options.views and (card.input.of_videos or (views and options.views > views)):
        what = f"{views} of them" if views else f"{tensor.clips_per_item} of them in an item"
        raise RequestError(f"every video has {what} for {tensor}, all of which count", "--views", "leave --views out")
    views = min(options.views or views, views or options.views)
    protocol = not single(card.transform) or card.clips.sampler in RULES
    if protocol and options.layout == "per-video" and not card.input.of_videos and views > options.batch:
        raise RequestError(
            f"a video has {views} views, and a file of layout per-video holds {options.batch}",
            "--layout per-video",
            f"take --batch {views}, or --layout packed",
        )
    if options.dtype == "uint8" and card.transform.kernel == "torch-linear-float":
        raise RequestError(
            "transform.kernel torch-linear-float gives values between bytes, which uint8 would round",
            "--dtype uint8",
            "take float32, or --set transform.kernel=torch-linear",
        )


def _look(card: Card, annotation: Annotation, options: Options) -> Tuple[List[PlannedVideo], List[Skipped]]:
    found, skipped = [], []
    sampler = Sampler(card.clips, card.dataset.frame_name)
    for entry, look in _looks(card.dataset, options.video_path, annotation.entries, needs_rate(card.clips)):
        try:
            found.append(_sampled(card, entry, look(), options, sampler))
        except BadVideoError as reason:
            skipped.append(Skipped(entry.id, entry.label, str(reason)))
    return found, skipped


def _looks(
    names: Dataset, root: str, entries: Sequence[Entry], timed: bool
) -> Iterator[Tuple[Entry, Callable[[], _Seen]]]:
    """Yield each video with the call that looks at its files.

    Video files are looked at a few videos ahead, because opening one leaves the interpreter to others; the many short
    looks at frames would only wait for it.
    """
    threads = ThreadPoolExecutor(usable_cores())
    ahead: Deque[Tuple[Entry, Callable[[], _Seen]]] = deque()
    try:
        for entry in entries:
            source = find_source(entry, root, names)
            look = functools.partial(_look_at, source, entry, timed)
            opened = source is not None and source.kind == "video"
            ahead.append((entry, threads.submit(look).result if opened else look))
            if len(ahead) > _AHEAD:
                yield ahead.popleft()
        yield from ahead
    finally:
        threads.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Seen:
    source: Source
    index: FrameIndex
    segment: Tuple[int, int]


def _look_at(source: Optional[Source], entry: Entry, timed: bool) -> _Seen:
    if entry.segment is not None and entry.segment[1] <= entry.segment[0]:
        raise BadVideoError("its segment is empty")
    if source is None:
        raise BadVideoError("it is not on disk")
    try:
        index = index_frames(source, entry.segment, timed)
    except OSError as error:
        if is_of_the_run(error):
            raise
        raise BadVideoError(f"cannot be read ({words(error)})") from None
    segment = entry.segment or (source.first_frame, source.first_frame + index.count)
    if segment[1] <= segment[0]:
        raise BadVideoError("it has no frames")
    return _Seen(source, index, segment)


def _sampled(card: Card, entry: Entry, seen: _Seen, options: Options, sampler: Sampler) -> PlannedVideo:
    """Choose the clips of the next usable video; they have no places yet."""
    clock = _clock(card, seen) if needs_rate(card.clips) else Clock()
    every = sampler.clips(*seen.segment, clock)
    cap = _cap(options, single(card.transform))
    views = _views(card, len(every), options)
    if views:
        every = [every[clip] for clip, _ in views]
    kept = every[:cap] if cap and not card.input.of_videos else every
    signature = seen.index.signature(sorted({number for clip in kept for number in clip} - {BLACK}))
    clips = tuple(PlannedClip(frames, -1, -1, view) for frames, view in zip(kept, views or repeat(None)))
    return PlannedVideo(entry, seen.segment, seen.source, signature, len(every) - len(kept), clips, seen.index.note)


def _views(card: Card, clips: int, options: Options) -> List[Tuple[int, int]]:
    """Return (clip, crop) of each view of a video of ``clips`` clips; empty where each clip is one."""
    if options.max_clips and not single(card.transform):
        clips = min(clips, options.max_clips)
    if options.views:
        return chosen_views(card.transform, clips, options.views)
    return [] if single(card.transform) else view_order(card.transform, clips)


def _clock(card: Card, seen: _Seen) -> Clock:
    """Return when the frames of a video's segment are shown.

    Raises:
        RequestError: it is a folder of frames, and nobody tells their rate.
    """
    rate, first = card.dataset.rate, seen.segment[0] - seen.source.first_frame
    if seen.source.kind == "frames" and not rate:
        raise RequestError(
            f"sampler {card.clips.sampler} at clips.rate {card.clips.rate:g} needs the frames per second of videos, "
            "which folders of frames do not tell",
            seen.source.path,
            "--set dataset.rate=R, or give the video files",
        )
    clock = seen.index.clock if seen.index.clock.rate else Clock(fraction_of(rate) if rate else None)
    return clock.part(first, seen.segment[1] - seen.segment[0])


def _cap(options: Options, single_crop: bool = True) -> int:
    """Return how many clips of a video can be kept, 0 for all: a per-video file holds one batch and no more."""
    if options.layout != "per-video":
        return options.max_clips if single_crop else 0
    return min(options.max_clips or options.batch, options.batch)


def _placed(videos: Sequence[PlannedVideo], layout: str, slots: int) -> List[PlannedVideo]:
    """Give every clip its place: a file of its own per video, or one slot after the other."""
    placed, slot = [], 0
    for file, video in enumerate(videos):
        if layout == "per-video":
            places = [(file, index) for index in range(len(video.clips))]
        else:
            places = [divmod(slot + index, slots) for index in range(len(video.clips))]
        slot += len(video.clips)
        clips = tuple(replace(clip, file=file, slot=slot) for clip, (file, slot) in zip(video.clips, places))
        placed.append(replace(video, clips=clips))
    return placed


def _files(
    videos: Sequence[PlannedVideo], tensor: TensorSpec, print_of: Fingerprint, layout: str, file_names: str
) -> List[PlannedFile]:
    contents: Dict[int, List[object]] = {}
    for video in videos:
        for clip in video.clips:
            item = [video.entry.id, clip.slot, clip.frames, video.signature, *([clip.view] if clip.view else [])]
            contents.setdefault(clip.file, []).append(item)
    if layout == "per-video":
        name = id_names if file_names == "id" else safe_names
        stems = name([video.entry.id for video in videos])
    else:
        stem = "clip_{:06d}" if layout == "per-clip" else "batch_{:05d}"
        stems = [stem.format(number) for number in range(len(contents))]
    common = [to_dict(tensor), print_of.digest]
    return [
        PlannedFile(f"{stem}.bin", len(contents[number]), digest_of([common, contents[number]]))
        for number, stem in enumerate(stems)
    ]
