"""Where the frames of a video come from: a folder of JPEG files, or the video file itself."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import Collection, Dict, Iterator, List, Optional, Sequence, Tuple

from clip2om.pipeline.artifact import digest_of
from clip2om.pipeline.card import Dataset
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.frame_names import FrameNames
from clip2om.pipeline.naming import VIDEO_SUFFIXES, same_letters, stays_inside, without_suffix
from clip2om.pipeline.opening import odd_kind
from clip2om.preprocess.clock import NO_CLOCK, Clock, clock_of
from clip2om.preprocess.containers import import_av
from clip2om.preprocess.entries import Entry
from clip2om.preprocess.errors import BadVideoError
from clip2om.preprocess.frames import Frame
from clip2om.preprocess.jpeg import FrameReader, turbo
from clip2om.preprocess.video_files import count_frames, read_video, scan_times


@dataclass(frozen=True)
class Source:
    """A video on disk.

    Attributes:
        kind: ``frames`` or ``video``.
        path: The folder or the file.
        frame_name: Format of the frame files' names, for example ``image_{:05d}.jpg``.
        first_frame: Number of the first frame.
        upright: Turn frames as the video's display matrix, or the EXIF data of a frame file, says.
    """

    kind: str
    path: str
    frame_name: str
    first_frame: int = 1
    upright: bool = False

    def read(self, numbers: Sequence[int]) -> Iterator[Tuple[int, Frame]]:
        """Yield (number, frame) for the ascending frame ``numbers``; each is decoded once.

        A frame is valid until the next one is asked for.

        Raises:
            BadVideoError: a frame is missing, truncated or not decodable.
        """
        if self.kind == "video":
            yield from read_video(self.path, numbers, self.first_frame, self.upright)
            return
        reader = FrameReader(self.path, self.upright)
        for number in numbers:
            yield number, reader.read(self.frame_name.format(number))


def find_source(entry: Entry, root: str, names: Dataset) -> Optional[Source]:
    """Return where the video of ``entry`` is, or None if it is nowhere.

    That is the folder ``root/label/id`` or the file ``root/label/id.<suffix>``; for an entry with its own video_path
    (relative to ``root``) that folder or file instead. Suffixes may be in capitals, and accents in the form that a Mac
    writes. ``names`` says how the frames are called, and what turns them.

    Raises:
        RequestError: the entry's own video_path leads out of ``root``.
    """
    if entry.video_path and not _may_be_at(entry.video_path, root, names):
        raise RequestError(
            f"video {entry.id!r} is said to be at {entry.video_path!r}, which is not below --video-path",
            root,
            "move the video there, or name with --video-path a folder above it",
        )
    found = locate(root, entry.video_path or os.path.join(entry.label or "", entry.id))
    if found is None:
        return None
    if os.path.isdir(found):
        return Source("frames", found, names.frame_name, names.first_frame, names.turn_frames)
    return Source("video", found, names.frame_name, names.first_frame, names.turn_videos)


def _may_be_at(place: str, root: str, names: Dataset) -> bool:
    """True where an entry may say that it is at ``place``: below the root; lists of the recipes have absolute paths."""
    if names.format in ("list", "rawframes"):
        return ".." not in place.split("/") and "\0" not in place
    return stays_inside(root, place)


def locate(root: str, inside: str) -> Optional[str]:
    """Return the folder or file at ``inside`` below ``root``, whatever its suffix and the spelling of its accents."""
    path = os.path.join(root, inside)
    return path if os.path.exists(path) else _other_spelling(root, inside)


def _other_spelling(root: str, inside: str) -> Optional[str]:
    """Return the path below ``root`` that is meant by ``inside``: the last part may lack its suffix."""
    folder = root
    *parents, last = [part for part in inside.split("/") if part]
    for part in parents:
        below = os.path.join(folder, part)
        if not os.path.isdir(below):
            known = _spellings(folder).get(same_letters(part))
            if known is None:
                return None
            below = os.path.join(folder, known[0])
        folder = below
    known = _spellings(folder).get(same_letters(last))
    return os.path.join(folder, known[0]) if known else None


def _spellings(folder: str) -> Dict[str, List[str]]:
    """Return what a folder holds by its name in composed letters and, for video files, without the suffix too."""
    try:
        return _listed(folder, os.stat(folder).st_mtime_ns)
    except OSError:
        return {}


@functools.lru_cache(maxsize=1024)
def _listed(folder: str, _changed: int) -> Dict[str, List[str]]:
    found: Dict[str, List[str]] = {}
    for name in sorted(os.listdir(folder), key=_rank):
        whole = same_letters(name)
        for key in dict.fromkeys((whole, without_suffix(whole))):
            found.setdefault(key, []).append(name)
    return found


def _rank(name: str) -> Tuple[int, str]:
    """Return the place of a name: folders and others first, then video files in the order of their kinds."""
    suffix = os.path.splitext(name)[1].lower()
    return (VIDEO_SUFFIXES.index(suffix) + 1 if suffix in VIDEO_SUFFIXES else 0), name


@dataclass(frozen=True)
class FrameIndex:
    """What is known of a video's frames without decoding them.

    Attributes:
        count: Number of frames without a gap.
        stamps: Size and modification time of each frame file, by its number; of a video file, under key None.
        note: What a person should know of how the video was read, else empty.
        clock: When the frames are shown, where that was asked.
    """

    count: int
    stamps: Dict[Optional[int], Tuple[int, int]]
    note: str = ""
    clock: Clock = NO_CLOCK

    def signature(self, numbers: Sequence[int]) -> str:
        """Return a digest that changes when one of the files behind the frames ``numbers`` changes."""
        if None in self.stamps:
            return digest_of([self.stamps[None], numbers[0], numbers[-1]])
        return digest_of([self.stamps[number] for number in numbers])


def index_frames(source: Source, segment: Optional[Tuple[int, int]], timed: bool = False) -> FrameIndex:
    """Look at a video's files without decoding them.

    Args:
        source: The video.
        segment: The frames that are wanted, [first, last + 1]; None for all of them.
        timed: Note when the frames of a video file are shown, too.

    Raises:
        BadVideoError: the video file cannot be opened or is cut off, a frame file is missing, the folder holds frames
            before the first number, or none.
    """
    if source.kind == "video":
        about = os.stat(source.path)
        enough = None if segment is None else segment[1] - source.first_frame
        scan = scan_times(source.path) if timed else count_frames(source.path, enough)
        if scan.damage:
            raise BadVideoError(scan.damage)
        if segment is not None and segment[1] - source.first_frame > scan.count:
            raise BadVideoError(f"its segment ends at frame {segment[1] - 1}, the file holds {scan.count} frames")
        stamp: Dict[Optional[int], Tuple[int, int]] = {None: (about.st_size, about.st_mtime_ns)}
        clock = clock_of(scan.times, scan.rate, scan.count) if timed else NO_CLOCK
        return FrameIndex(scan.count, stamp, scan.note, clock)
    with os.scandir(source.path) as found:
        files = {item.name: item for item in found}
    stamps: Dict[Optional[int], Tuple[int, int]] = {}
    first, end = segment or (source.first_frame, source.first_frame + len(files))
    for number in range(first, end):
        item = files.get(source.frame_name.format(number))
        if item is None:
            break
        stamps[number] = _stamp(item)
    if segment is None:
        _check_whole(source, files, len(stamps))
    elif len(stamps) < end - first:
        missing = source.frame_name.format(first + len(stamps))
        raise BadVideoError(f"its segment ends at frame {end - 1}, {missing} is missing")
    return FrameIndex(len(stamps), stamps)


def _check_whole(source: Source, files: Collection[str], count: int) -> None:
    """Refuse a folder of which ``count`` frames from the first number on would not be the whole video."""
    names = FrameNames(source.frame_name, source.first_frame)
    numbers = names.numbers(files) if len(files) > count else ()
    if len(numbers) > count:
        others = [number for number in sorted(numbers) if not 0 <= number - names.first < count]
        frame = names.format.format(others[0])
        if others[0] < names.first:
            raise BadVideoError(f"frame {frame} comes before {names.name(0)}; --set dataset.first_frame={others[0]}")
        raise BadVideoError(f"frame {names.name(count)} is missing, though {frame} is there")
    if not count:
        other = min((name for name in files if name[0] != "."), default="")
        raise BadVideoError(f"folder holds no {names.name(0)}" + (f", but {other}" if other else ""))


def _stamp(item: "os.DirEntry[str]") -> Tuple[int, int]:
    try:
        about = item.stat()
    except FileNotFoundError:
        raise BadVideoError(f"frame {item.name} is a link that leads nowhere") from None
    kind = odd_kind(about.st_mode)
    if kind:
        raise BadVideoError(f"frame {item.name} is {kind}, expected a file")
    return about.st_size, about.st_mtime_ns


def decoder_versions(kinds: Sequence[str]) -> Dict[str, str]:
    """Return the versions of the libraries that decode sources of the given kinds."""
    from PIL import __version__ as pillow
    from PIL import features

    found = {"Pillow": pillow, "libjpeg-turbo": features.version("libjpeg_turbo") or "not used"}
    if "frames" in kinds and turbo() is not None:
        found["simplejpeg"] = turbo().__version__
    if "video" in kinds:
        av = import_av()
        found["PyAV"] = av.__version__
        found["libavcodec"] = ".".join(str(part) for part in av.library_versions["libavcodec"])
    return found
