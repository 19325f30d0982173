"""Where the frames of a video come from: a folder of JPEG files, or the video file itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Dict, Iterator, Optional, Sequence, Tuple

from PIL import Image, UnidentifiedImageError

from pipeline.artifact import digest_of
from preprocess.annotations import Entry

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
    """

    kind: str
    path: str
    frame_name: str

    def read(self, numbers: Sequence[int]) -> Iterator[Tuple[int, Image.Image]]:
        """Yield (number, image) for the ascending frame ``numbers``, counted from 1; each is decoded once.

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
            except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
                raise BadVideoError(f"frame {name} cannot be decoded ({error})") from None

    def _read_video(self, numbers: Sequence[int]) -> Iterator[Tuple[int, Image.Image]]:
        import av

        wanted = iter(numbers)
        number = next(wanted)
        decoded = 0
        try:
            with av.open(self.path) as container:
                stream = _video_stream(container)
                # One thread each: the worker processes already use every core.
                stream.thread_count = 1
                for decoded, frame in enumerate(container.decode(stream), start=1):
                    if frame.is_corrupt:
                        raise BadVideoError(f"frame {decoded} is corrupt")
                    if decoded == number:
                        yield number, frame.to_image()
                        number = next(wanted, 0)
                        if not number:
                            return
        except (av.error.FFmpegError, IndexError) as error:
            raise BadVideoError(f"cannot be decoded after {decoded} frames ({_short(error)})") from None
        raise BadVideoError(f"only {decoded} frames decode, frame {number} is wanted")


def find_source(entry: Entry, root: str, frame_name: str) -> Optional[Source]:
    """Return where the video of ``entry`` is, or None if it is nowhere.

    Looks for the folder ``root/label/id``, then for ``root/label/id.<suffix>``; an entry with its own video_path for
    that path alone.
    """
    default = os.path.join(root, entry.label, entry.id) if entry.label is not None else os.path.join(root, entry.id)
    path = default if entry.video_path is None else entry.video_path
    if os.path.isdir(path):
        return Source("frames", path, frame_name)
    candidates = [path] if entry.video_path is not None else [path + suffix for suffix in VIDEO_SUFFIXES]
    for candidate in candidates:
        if os.path.isfile(candidate):
            return Source("video", candidate, frame_name)
    return None


@dataclass(frozen=True)
class FrameIndex:
    """What is known of a video's frames without decoding them.

    Attributes:
        count: Number of frames, counted from 1 without a gap.
        stamps: Size and modification time of each frame file, or of the video file under key 0.
    """

    count: int
    stamps: Dict[int, Tuple[int, int]]

    def signature(self, first: int, last: int) -> str:
        """Return a digest that changes when one of the files behind the frames first..last changes."""
        if 0 in self.stamps:
            return digest_of([self.stamps[0], first, last])
        return digest_of([self.stamps[number] for number in range(first, last + 1)])


def index_frames(source: Source, need_count: bool) -> FrameIndex:
    """Look at a video's files; ``need_count`` asks for the number of frames of a video file too (else it is 0).

    Raises:
        BadVideoError: the video file cannot be opened, or a frame folder has no first frame.
    """
    if source.kind == "video":
        about = os.stat(source.path)
        return FrameIndex(_count_video(source.path) if need_count else 0, {0: (about.st_size, about.st_mtime_ns)})
    with os.scandir(source.path) as found:
        files = {item.name: item for item in found}
    stamps: Dict[int, Tuple[int, int]] = {}
    while (item := files.get(source.frame_name.format(len(stamps) + 1))) is not None:
        about = item.stat()
        stamps[len(stamps) + 1] = (about.st_size, about.st_mtime_ns)
    if not stamps:
        raise BadVideoError(f"folder holds no {source.frame_name.format(1)}")
    return FrameIndex(len(stamps), stamps)


def _count_video(path: str) -> int:
    """Count the packets of the first video stream: as many as frames, and found without decoding."""
    import av

    try:
        with av.open(path) as container:
            stream = _video_stream(container)
            return sum(1 for packet in container.demux(stream) if packet.size)
    except (av.error.FFmpegError, IndexError) as error:
        raise BadVideoError(f"cannot be opened ({_short(error)})") from None


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
        import av

        found["PyAV"] = av.__version__
        found["libavcodec"] = ".".join(str(part) for part in av.library_versions["libavcodec"])
    return found
