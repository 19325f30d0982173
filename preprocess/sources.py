"""Where the frames of a video come from: a folder of JPEG files, or the video file itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Dict, Iterator, Optional, Sequence, Tuple

from PIL import Image

from pipeline.artifact import digest_of
from pipeline.card import Dataset
from pipeline.errors import RequestError
from preprocess.entries import Entry

VIDEO_SUFFIXES = (".avi", ".mp4", ".mkv", ".webm", ".mov", ".mpg", ".m4v")


class BadVideoError(Exception):
    """One video cannot be used; the message is the reason that goes into the manifest."""


@dataclass(frozen=True)
class Source:
    """A video on disk.

    Attributes:
        kind: ``frames`` or ``video``.
        path: The folder or the file.
        frame_name: Format of the frame files' names, for example ``image_{:05d}.jpg``.
        first_frame: Number of the first frame.
    """

    kind: str
    path: str
    frame_name: str
    first_frame: int = 1

    def read(self, numbers: Sequence[int]) -> Iterator[Tuple[int, Image.Image]]:
        """Yield (number, image) for the ascending frame ``numbers``; each is decoded once.

        Raises:
            BadVideoError: a frame is missing, truncated or not decodable.
        """
        return self._read_folder(numbers) if self.kind == "frames" else self._read_video(numbers)

    def _read_folder(self, numbers: Sequence[int]) -> Iterator[Tuple[int, Image.Image]]:
        for number in numbers:
            name = self.frame_name.format(number)
            try:
                with Image.open(os.path.join(self.path, name)) as image:
                    image.load()
                    yield number, image
            except FileNotFoundError:
                raise BadVideoError(f"frame {name} is missing") from None
            except (OSError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # trouble of the host (permissions, open files, the disk), not of this video
                raise BadVideoError(f"frame {name} cannot be decoded ({error})") from None

    def _read_video(self, numbers: Sequence[int]) -> Iterator[Tuple[int, Image.Image]]:
        av = import_av()
        wanted = iter(numbers)
        number = next(wanted)
        decoded = 0
        try:
            with av.open(self.path) as container:
                stream = _video_stream(container)
                # One thread each: the worker processes already use every core.
                stream.thread_count = 1
                for decoded, frame in enumerate(container.decode(stream), start=1):
                    current = self.first_frame + decoded - 1
                    if frame.is_corrupt:
                        raise BadVideoError(f"frame {current} is corrupt")
                    if current == number:
                        yield number, frame.to_image()
                        following = next(wanted, None)
                        if following is None:
                            return
                        number = following
        except (av.error.FFmpegError, IndexError) as error:
            raise BadVideoError(f"cannot be decoded after {decoded} frames ({_short(error)})") from None
        raise BadVideoError(f"only {decoded} frames decode, frame {number} is wanted")


def is_video(name: str) -> bool:
    """True for the name of a video file."""
    return name.lower().endswith(VIDEO_SUFFIXES)


def without_suffix(name: str) -> str:
    """Return the name of a video without the suffix of a video file; other dots belong to the name."""
    return os.path.splitext(name)[0] if is_video(name) else name


def find_source(entry: Entry, root: str, names: Dataset) -> Optional[Source]:
    """Return where the video of ``entry`` is, or None if it is nowhere.

    That is the folder ``root/label/id`` or the file ``root/label/id.<suffix>``; for an entry with its own video_path
    (relative to ``root``) that folder or file instead. ``names`` says how the frames are called.
    """
    inside = entry.video_path or os.path.join(entry.label or "", entry.id)
    path = os.path.join(root, inside)
    if os.path.isdir(path):
        return Source("frames", path, names.frame_name, names.first_frame)
    for candidate in (path, *(path + suffix for suffix in VIDEO_SUFFIXES)):
        if os.path.isfile(candidate):
            return Source("video", candidate, names.frame_name, names.first_frame)
    return None


@dataclass(frozen=True)
class FrameIndex:
    """What is known of a video's frames without decoding them.

    Attributes:
        count: Number of frames without a gap.
        stamps: Size and modification time of each frame file, by its number; of a video file, under key None.
    """

    count: int
    stamps: Dict[Optional[int], Tuple[int, int]]

    def signature(self, numbers: Sequence[int]) -> str:
        """Return a digest that changes when one of the files behind the frames ``numbers`` changes."""
        if None in self.stamps:
            return digest_of([self.stamps[None], numbers[0], numbers[-1]])
        return digest_of([self.stamps[number] for number in numbers])


def index_frames(source: Source, segment: Optional[Tuple[int, int]]) -> FrameIndex:
    """Look at a video's files without decoding them.

    Args:
        source: The video.
        segment: The frames that are wanted, [first, last + 1]; None for all of them.

    Raises:
        BadVideoError: the video file cannot be opened or is cut off, a frame file is missing, or there is none.
    """
    if source.kind == "video":
        about = os.stat(source.path)
        count = _count_video(source.path, whole=segment is None)
        if segment is not None and segment[1] - source.first_frame > count:
            raise BadVideoError(f"its segment ends at frame {segment[1] - 1}, the file holds {count} frames")
        return FrameIndex(count, {None: (about.st_size, about.st_mtime_ns)})
    with os.scandir(source.path) as found:
        files = {item.name: item for item in found}
    stamps: Dict[Optional[int], Tuple[int, int]] = {}
    first, end = segment or (source.first_frame, source.first_frame + len(files))
    for number in range(first, end):
        item = files.get(source.frame_name.format(number))
        if item is None:
            break
        stamps[number] = _stamp(item)
    if segment is not None and len(stamps) < end - first:
        missing = source.frame_name.format(first + len(stamps))
        raise BadVideoError(f"its segment ends at frame {end - 1}, {missing} is missing")
    if not stamps:
        raise BadVideoError(f"folder holds no {source.frame_name.format(first)}")
    return FrameIndex(len(stamps), stamps)


def _stamp(item: "os.DirEntry[str]") -> Tuple[int, int]:
    try:
        about = item.stat()
    except FileNotFoundError:
        raise BadVideoError(f"frame {item.name} is a link that leads nowhere") from None
    return about.st_size, about.st_mtime_ns


def _count_video(path: str, whole: bool) -> int:
    """Count the packets of the first video stream: as many as frames, and found without decoding.

    With ``whole``, a file that holds fewer than its header announces is refused as cut off; two may be missing, because
    containers announce frames without content.
    """
    av = import_av()
    try:
        with av.open(path) as container:
            stream = _video_stream(container)
            count = sum(1 for packet in container.demux(stream) if packet.size)
            if whole and count < stream.frames - 2:
                raise BadVideoError(f"it is cut off: {count} of {stream.frames} frames are there")
            return count
    except (av.error.FFmpegError, IndexError) as error:
        raise BadVideoError(f"cannot be opened ({_short(error)})") from None


def import_av():  # type: ignore[no-untyped-def]
    """Return the module av; only video files need it.

    Raises:
        RequestError: it is not installed.
    """
    try:
        import av
    except ImportError:
        raise RequestError("PyAV, which reads video files, is not installed", "av", "pip install av") from None
    return av


def _video_stream(container):  # type: ignore[no-untyped-def]
    return container.streams.video[0]


def _short(error: Exception) -> str:
    if isinstance(error, IndexError):
        return "no video stream"
    return str(getattr(error, "strerror", None) or error)


def decoder_versions(kinds: Sequence[str]) -> Dict[str, str]:
    """Return the versions of the libraries that decode sources of the given kinds."""
    from PIL import __version__ as pillow
    from PIL import features

    found = {"Pillow": pillow, "libjpeg-turbo": features.version("libjpeg_turbo") or "not used"}
    if "video" in kinds:
        av = import_av()
        found["PyAV"] = av.__version__
        found["libavcodec"] = ".".join(str(part) for part in av.library_versions["libavcodec"])
    return found
