"""Film strips: a few frames of a clip, small and inside the page, read from the dataset as preprocess reads it."""

from __future__ import annotations

import base64
import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Iterable, List, Optional, Tuple

from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import Manifest, Video
from clip2om.scripts.pages.figures import Example
from clip2om.scripts.pages.run import Note, Run

if TYPE_CHECKING:
    from PIL import Image

    from clip2om.pipeline.card import Card, Dataset
    from clip2om.preprocess.entries import Entry

FRAMES = 6
# Height in pixels; 24 strips of HMDB51 take about half a megabyte.
_HEIGHT = 96
_MAX_WIDTH = 192
_QUALITY = 72
# Of all strips of a page together, in bytes of base64 text.
_BUDGET = 1_400_000


@dataclass(frozen=True)
class Strip:
    """Frames as data URIs with their numbers, counted from 1.

    Attributes:
        clip: The clip they are of, counted from 1; None where they are of all clips of the video.
    """

    clip: Optional[int]
    clips: int
    first: int
    last: int
    frames: List[Tuple[int, str]]


@dataclass(frozen=True)
class Place:
    """Where the dataset is: the card, and what overrides its folder and its annotation."""

    card: Optional[Card]
    videos: Optional[str] = None
    annotation: Optional[str] = None


@dataclass(frozen=True)
class _Dataset:
    """What leads from a video to its frames."""

    root: Path
    names: Dataset
    videos: Dict[str, Video]
    entries: Dict[str, Entry]


def strips(run: Run, examples: Iterable[Example], place: Place) -> Tuple[Dict[int, Strip], List[Note]]:
    """Return the strips by index of the video, and what is left out.

    A video that is not on disk or cannot be decoded has none, and so has everything that would make the page too large.
    """
    wanted = list({item.index: item for item in examples}.values())
    if not wanted or run.manifest is None:
        return {}, []
    if place.card is None:
        return {}, [Note("no_card", {"card": run.accuracy.origin.card})]
    dataset = _dataset(run.manifest, place.card, place)
    made: Dict[int, Strip] = {}
    budget, missing, dropped = _BUDGET, 0, 0
    for item in wanted:
        strip = _strip(item, dataset)
        size = sum(len(uri) for _, uri in strip.frames) if strip else 0
        if strip is None:
            missing += 1
        elif size > budget:
            dropped += 1
        else:
            budget -= size
            made[item.index] = strip
    return made, _notes(len(wanted), missing, dropped, dataset.root)


def _notes(total: int, missing: int, dropped: int, root: Path) -> List[Note]:
    if missing == total:
        return [Note("no_frames", {"path": root.name})]
    notes = [Note("some_frames", {"missing": missing, "total": total})] if missing else []
    return [*notes, Note("strips_budget", {"missing": dropped, "total": total})] if dropped else notes


def _dataset(manifest: Manifest, card: Card, place: Place) -> _Dataset:
    """Return what the annotation says of each video, or without it what follows from id and label alone."""
    from clip2om.preprocess.annotations import find_annotation, read_annotation
    from clip2om.preprocess.entries import Entry

    root = Path(place.videos) if place.videos else card.resolve(card.dataset.videos)
    videos = {video.id: video for video in manifest.videos}
    entries = {video.id: Entry(video.id, video.label, video.segment, None) for video in manifest.videos}
    with contextlib.suppress(RequestError):
        path = find_annotation(card, place.annotation, place.videos, manifest.subset)
        if card.dataset.format == "folders" and not place.videos:
            root = Path(path)
        known = read_annotation(card, path, manifest.subset).entries
        entries.update({entry.id: entry for entry in known if entry.id in videos})
    return _Dataset(root, card.dataset, videos, entries)


def _strip(item: Example, dataset: _Dataset) -> Optional[Strip]:
    from clip2om.preprocess.errors import BadVideoError
    from clip2om.preprocess.frames import as_image
    from clip2om.preprocess.sources import find_source

    video = dataset.videos.get(item.id)
    if video is None or (item.clip or 0) >= len(video.clips):
        return None
    source = find_source(dataset.entries[item.id], str(dataset.root), dataset.names)
    if source is None:
        return None
    chosen = video.clips if item.clip is None else [video.clips[item.clip]]
    first, last = min(clip[2] for clip in chosen), max(clip[3] for clip in chosen)
    try:
        frames = [(number, _uri(as_image(frame))) for number, frame in source.read(_spread(first, last))]
    except (BadVideoError, OSError):
        return None
    return Strip(None if item.clip is None else item.clip + 1, len(video.clips), first, last, frames)


def _spread(first: int, last: int) -> List[int]:
    """Return up to :data:`FRAMES` numbers from first to last, both included, evenly spaced."""
    count = min(FRAMES, last - first + 1)
    step = (last - first) / max(count - 1, 1)
    return [first + round(index * step) for index in range(count)]


def _uri(image: Image.Image) -> str:
    small = image.convert("RGB")
    small.thumbnail((_MAX_WIDTH, _HEIGHT))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
