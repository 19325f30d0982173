"""The frames of a video as JPEG data, scaled.

The default repeats what the 3d_resnet recipe does with the ``ffmpeg`` tool (``-vf scale=-1:240 image_%05d.jpg``): the
scale filter of libavfilter, then FFmpeg's MJPEG encoder at its default bit rate, whose rate control makes the
quantiser of a frame depend on the frames before it. Every decoded frame is given once.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Callable, Iterator, Tuple

# What the ffmpeg tool asks of an encoder when the user names no quality.
_BIT_RATE = 200_000
_USUAL_RATE = 25
_MJPEG_FORMATS = "yuvj420p|yuvj422p|yuvj444p"
# Containers announce placeholders that decode to nothing: so many frames less than announced are no damage.
_PLACEHOLDERS = 2


class BadVideoError(Exception):
    """The video cannot be used; the message is the reason."""


@dataclass(frozen=True)
class Settings:
    """How frames are made.

    Attributes:
        side: Length of the shorter side in pixels; 0 keeps the size.
        quality: JPEG quality 1 to 100 of Pillow's encoder; 0 for FFmpeg's MJPEG encoder at its default.
        fps: Frames per second; 0 keeps the frames as they are.
        size: Instead of ``side``: width and height, whatever the aspect; (0, 0) for none.
        drop: Reach ``fps`` by dropping and repeating frames, not by motion interpolation.
        swap: Write red as blue and blue as red, as the r2plus1d_mindspore recipe's tool does; Pillow's encoder only.
    """

    side: int = 240
    quality: int = 0
    fps: int = 0
    size: Tuple[int, int] = (0, 0)
    drop: bool = False
    swap: bool = False


def jpeg_frames(path: str, settings: Settings) -> Iterator[bytes]:
    """Yield each frame of a video file as JPEG data.

    Raises:
        BadVideoError: the file cannot be opened or decoded, is cut off, or holds no frame.
    """
    import av

    count = 0
    try:
        with av.open(path) as container:
            for frame in _filtered(container, settings):
                if not count:
                    encode = _pillow(settings) if settings.quality else _mjpeg(frame, _rate(container, settings))
                yield encode(frame)
                count += 1
    except av.error.FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise BadVideoError(f"cannot be decoded after {count} frames ({reason.lower()})") from None
    if not count:
        raise BadVideoError("holds no frame")


def scaled(width: int, height: int, side: int) -> str:
    """Return the scale filter's argument for a shorter side of ``side`` pixels, the other rounded to nearest.

    The comparison is the recipe's: of a square video the width is fixed.
    """
    return f"-1:{side}" if width > height else f"{side}:-1"


def _filtered(container: Any, settings: Settings) -> Iterator[Any]:
    import av

    if not container.streams.video:
        raise BadVideoError("has no video stream")
    stream = container.streams.video[0]
    # One thread each: the worker processes already use every core.
    stream.thread_count = 1
    graph = _graph(stream, settings)
    for frame in _decoded(container, stream):
        graph.push(frame)
        while True:
            try:
                yield graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                break


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the frames, then None, which tells the filters that no more will come."""
    count = 0
    for count, frame in enumerate(container.decode(stream), start=1):
        if frame.is_corrupt:
            raise BadVideoError(f"frame {count} is corrupt")
        yield frame
    if count < stream.frames - _PLACEHOLDERS:
        raise BadVideoError(f"is cut off: {count} of {stream.frames} frames decode")
    if count:
        yield None


def _graph(stream: Any, settings: Settings) -> Any:
    import av

    graph = av.filter.Graph()
    chain = [graph.add_buffer(template=stream)]
    if settings.size != (0, 0):
        # Bilinear gives the bytes of decord's built-in resize, with which the r2plus1d_mindspore recipe decodes.
        chain.append(graph.add("scale", f"{settings.size[0]}:{settings.size[1]}:flags=bilinear"))
    elif settings.side:
        size = scaled(stream.codec_context.width, stream.codec_context.height, settings.side)
        chain.append(graph.add("scale", f"{size}:flags=bicubic"))
    if settings.fps:
        chain.append(graph.add("fps" if settings.drop else "minterpolate", f"fps={settings.fps}"))
    chain.append(graph.add("format", "rgb24" if settings.quality else _MJPEG_FORMATS))
    chain.append(graph.add("buffersink"))
    for before, after in zip(chain, chain[1:]):
        before.link_to(after)
    graph.configure()
    return graph


def _rate(container: Any, settings: Settings) -> Fraction:
    return Fraction(settings.fps or container.streams.video[0].average_rate or _USUAL_RATE)


def _mjpeg(first: Any, rate: Fraction) -> Callable[[Any], bytes]:
    import av
    from av.video.frame import PictureType
    from av.video.reformatter import ColorRange

    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = first.width, first.height, first.format.name
    encoder.framerate, encoder.time_base = rate, 1 / rate
    encoder.bit_rate = _BIT_RATE
    encoder.color_range = ColorRange.JPEG
    encoder.thread_count = 1
    count = 0

    def encode(frame: Any) -> bytes:
        nonlocal count
        # The rate control reads time stamps, and the picture type where the decoder has left one.
        frame.pts, frame.time_base, frame.pict_type = count, encoder.time_base, PictureType.NONE
        count += 1
        return b"".join(bytes(packet) for packet in encoder.encode(frame))

    return encode


def _pillow(settings: Settings) -> Callable[[Any], bytes]:
    from PIL import Image

    def encode(frame: Any) -> bytes:
        data, image = io.BytesIO(), frame.to_image()
        if settings.swap:
            image = Image.merge("RGB", image.split()[::-1])
        image.save(data, "JPEG", quality=settings.quality)
        return data.getvalue()

    return encode
