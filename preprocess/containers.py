"""Video files opened: the one place where a container is, and where a library's exception becomes the file's reason.

What a file holds decides neither a protocol nor a decoder outside :data:`FORMATS`, and its texts (titles, places) are
never read, whatever bytes they are.
"""

from __future__ import annotations

import contextlib
import functools
import os
from typing import Any, BinaryIO, Dict, Iterator, List, Optional, Tuple, Union

from clip2om.pipeline.errors import RequestError, last_line
from clip2om.pipeline.opening import odd_kind
from clip2om.preprocess.errors import MOST_PIXELS, BadVideoError, is_of_the_run, trouble_of_the_world, words

# Containers that hold a video by themselves, by the names of FFmpeg's demuxers: none that leads to other files.
FORMATS = (
    "avi,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpeg,mpegts,mpegvideo,m4v,h264,hevc,asf,flv,ogg,gif,ivf,nut,rm,dv,mxf,"
    "yuv4mpegpipe,apng,wtv"
)
# Single pictures, which containers keep as a cover beside sound.
_PICTURES = {"mjpeg", "png", "bmp", "gif", "webp", "tiff", "jpegxl"}
# What the ffmpeg tool gives a stream that is marked as the default one, beside a point per pixel.
_DEFAULT_STREAM = 5_000_000
_MARK_NONE = ("avi", "mpeg", "asf", "flv")


class VideoFile:
    """A container that is open, and its video stream.

    Attributes:
        container: PyAV's.
        stream: The video stream that the ffmpeg tool takes.
        decoded: Number of frames that came out so far.
        note: What a person should know of the choice, else empty.
    """

    def __init__(self, container: Any) -> None:
        self.container = container
        self.stream, self.note = _choose(container)
        self.decoded = 0
        _check_pixels(*_extent(self.stream))
        # FFmpeg keeps it too, where the size changes on the way.
        self.stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        # One thread each: the worker processes already use every core.
        self.stream.thread_count = 1

    def frames(self) -> Iterator[Any]:
        """Yield the frames in the order in which they are shown.

        A file that was cut without regard to key frames begins with packets that refer to what is gone; like the ffmpeg
        tool this passes them over.

        Raises:
            BadVideoError: a frame is corrupt or cannot be decoded.
        """
        started = False
        for packet in self.container.demux(self.stream):
            started = started or packet.is_keyframe
            for frame in self._decode(packet, started):
                self.decoded += 1
                _check_pixels(frame.width, frame.height)
                if frame.is_corrupt:
                    raise BadVideoError(f"frame {self.decoded} is corrupt")
                yield frame

    def _decode(self, packet: Any, started: bool) -> List[Any]:
        try:
            return packet.decode()
        except Exception:
            if started or self.decoded:
                raise
            return []

    @property
    def rate(self) -> Optional[float]:
        """Frames per second on the average, None where the container does not tell."""
        return float(self.stream.average_rate) if self.stream.average_rate else None


@contextlib.contextmanager
def open_video(file: Union[str, BinaryIO]) -> Iterator[VideoFile]:
    """Open a video file, or a stream that has no name; what a library raises inside concerns this file.

    Raises:
        BadVideoError: it cannot be opened or decoded, or holds no video.
        RequestError: PyAV is not installed.
    """
    av = import_av()
    video: Optional[VideoFile] = None
    if isinstance(file, str):
        kind = odd_kind(os.stat(file).st_mode)
        if kind:
            raise BadVideoError(f"is {kind}, expected a video file")
    try:
        with av.open(_address(file), metadata_errors="replace", container_options=_options(file)) as container:
            video = VideoFile(container)
            yield video
    except (BadVideoError, RequestError):
        raise
    except Exception as error:
        trouble = _trouble(error, file, av.error.FFmpegError)
        if trouble is not None:
            raise trouble from None
        if video is None:
            raise BadVideoError(f"cannot be opened ({words(error)})") from None
        raise BadVideoError(f"cannot be decoded after {video.decoded} frames ({words(error)})") from None


def _trouble(error: Exception, file: Union[str, BinaryIO], of_ffmpeg: type) -> Optional[BaseException]:
    """Return what ends the run, None where the file is to blame: FFmpeg's words alone prove nothing."""
    if isinstance(error, of_ffmpeg) and isinstance(file, str):
        return trouble_of_the_world(error, file)
    return error if is_of_the_run(error) else None


def _choose(container: Any) -> Tuple[Any, str]:
    """Return (stream, note): of several video streams the one that the ffmpeg tool takes; covers are no videos.

    That is the one marked as default, then the one with the most pixels, then the first. PyAV before 14.2 does not tell
    the marks: there the first stream of an MP4 or a Matroska file counts as marked, and a cover is known by its codec
    and by having no rate.

    Raises:
        BadVideoError: there is none.
    """
    streams = container.streams.video
    found = [stream for stream in streams if not _is_cover(stream)]
    if not found:
        raise BadVideoError("has no video stream" + (", only a cover picture" if len(streams) else ""))
    marks_first = not container.format.name.startswith(_MARK_NONE)
    best = max(found, key=lambda stream: _points(stream, marks_first and stream is found[0]))
    if best.codec_context is None:
        raise BadVideoError("cannot be decoded (decoder not found)")
    note = f"holds {len(found)} video streams, number {best.index} of {_size(best)} is taken" if len(found) > 1 else ""
    return best, note


@functools.lru_cache(maxsize=1)
def import_av() -> Any:
    """Return the module av; only video files need it.

    Raises:
        RequestError: it is not installed, or it is and cannot be loaded.
    """
    try:
        import av
    except ModuleNotFoundError as error:
        if error.name != "av":  # of a broken installation: a part of PyAV, or what it needs
            raise _not_loaded(error) from None
        raise RequestError("PyAV, which reads video files, is not installed", "av", "pip install av") from None
    except (ImportError, OSError) as error:  # memory, file handles or a library of the system are wanting
        raise _not_loaded(error) from None
    # What is wrong with a file is its reason; older versions also print what FFmpeg says.
    av.logging.set_level(av.logging.PANIC)
    return av


def _not_loaded(error: Exception) -> RequestError:
    words = f"PyAV, which reads video files, is installed but cannot be loaded ({last_line(error)})"
    return RequestError(words, "av", "look at the limits of memory (ulimit -v), or install it again: pip install av")


def _address(file: Union[str, BinaryIO]) -> Union[str, BinaryIO]:
    """Return what FFmpeg takes for a file and nothing else: a name may look like the address of a server."""
    return "file:" + os.path.abspath(file) if isinstance(file, str) else file


def _options(file: Union[str, BinaryIO]) -> Dict[str, str]:
    protocol = {"protocol_whitelist": "file"} if isinstance(file, str) else {}
    # For the container alone: PyAV before 16 overruns an array with options for streams that appear late (MPEG-PS).
    return {"format_whitelist": FORMATS, **protocol}


def _is_cover(stream: Any) -> bool:
    marks = getattr(stream, "disposition", None)
    if marks is not None:
        return bool(marks & type(marks).attached_pic)
    name = getattr(stream.codec_context, "name", "")
    return name in _PICTURES and not stream.average_rate


def _points(stream: Any, is_first: bool) -> int:
    width, height = _extent(stream)
    marks = getattr(stream, "disposition", None)
    is_default = is_first if marks is None else bool(marks & type(marks).default)
    return width * height + _DEFAULT_STREAM * is_default


def _extent(stream: Any) -> Tuple[int, int]:
    context = stream.codec_context
    return (context.width, context.height) if context is not None else (0, 0)


def _check_pixels(width: int, height: int) -> None:
    """Refuse frames that would fill the memory.

    Raises:
        BadVideoError: they are larger than :data:`MOST_PIXELS`.
    """
    if width * height > MOST_PIXELS:
        raise BadVideoError(f"its frames are {width}x{height}, more than {MOST_PIXELS} pixels")


def _size(stream: Any) -> str:
    return "{}x{}".format(*_extent(stream))
