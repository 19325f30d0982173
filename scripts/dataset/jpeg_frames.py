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

from clip2om.preprocess.containers import VideoFile, import_av, open_video
from clip2om.preprocess.errors import BadVideoError

# What the ffmpeg tool asks of an encoder when the user names no quality.
_BIT_RATE = 200_000
_USUAL_RATE = 25
_MJPEG_FORMATS = "yuvj420p|yuvj422p|yuvj444p"
# JFIF knows one matrix and one range. Left to itself FFmpeg kept the video's matrix up to version 7.
_JPEG_COLORS = ":out_color_matrix=bt601:out_range=pc"
_MICROSECONDS = 1_000_000


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
        upright: Turn frames as the display matrix says, as the ffmpeg tool and OpenCV do; decord does not.
    """

    side: int = 240
    quality: int = 0
    fps: int = 0
    size: Tuple[int, int] = (0, 0)
    drop: bool = False
    swap: bool = False
    upright: bool = True


def jpeg_frames(path: str, settings: Settings) -> Iterator[bytes]:
    """Yield each frame of a video file as JPEG data.

    Raises:
        BadVideoError: the file cannot be opened or decoded, is cut off, or holds no frame.
    """
    from clip2om.preprocess.video_files import check_whole

    check_whole(path)
    encode = None
    with open_video(path) as video:
        for frame in _filtered(video, settings):
            if encode is None:
                encode = _pillow(settings) if settings.quality else _mjpeg(frame, _rate(video, settings))
            yield encode(frame)
    if encode is None:
        raise BadVideoError("holds no frame")


def scaled(width: int, height: int, side: int) -> str:
    """Return the scale filter's argument for a shorter side of ``side`` pixels, the other rounded to nearest.

    The comparison is the recipe's: of a square video the width is fixed.
    """
    return f"-1:{side}" if width > height else f"{side}:-1"


def _filtered(video: VideoFile, settings: Settings) -> Iterator[Any]:
    """Yield the frames as the filters give them; these are opened anew where frames change their size or format."""
    av = import_av()
    graph, kind = None, None
    for frame in video.frames():
        found = (frame.format.name, frame.width, frame.height)
        if graph is None or found != kind:
            if graph is not None:
                yield from _rest(av, graph)
            graph, kind = _graph(frame, settings), found
        _shift(video, frame)
        graph.push(frame)
        yield from _ready(av, graph)
    if graph is not None:
        yield from _rest(av, graph)


def _shift(video: VideoFile, frame: Any) -> None:
    """Count time from the file's beginning, as the ffmpeg tool does: transport streams begin anywhere."""
    start = video.container.start_time
    if frame.pts is not None and start and frame.time_base:
        frame.pts -= round(Fraction(start, _MICROSECONDS) / frame.time_base)


def _ready(av: Any, graph: Any) -> Iterator[Any]:
    while True:
        try:
            yield graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _rest(av: Any, graph: Any) -> Iterator[Any]:
    """Tell the filters that no more frames will come, and yield what they still have."""
    graph.push(None)
    yield from _ready(av, graph)


def _graph(frame: Any, settings: Settings) -> Any:
    """Return filters for frames like the first one: what the header says of them need not be so."""
    graph = import_av().filter.Graph()
    chain = [
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 1000)
        )
    ]
    from clip2om.preprocess.pixels import Turn, turn_of

    turn = turn_of(frame) if settings.upright else Turn()
    chain += [graph.add(*filter_.split("=")) for filter_ in turn.filters()]
    width, height = (frame.height, frame.width) if turn.swap else (frame.width, frame.height)
    # The last scaling turns the colours into JPEG's, by the matrix and the range that the frame names.
    colors = "" if settings.quality else _JPEG_COLORS
    last = "" if settings.fps else colors
    if settings.size != (0, 0):
        # Bilinear gives the bytes of decord's built-in resize, with which the r2plus1d_mindspore recipe decodes.
        chain.append(graph.add("scale", f"{settings.size[0]}:{settings.size[1]}:flags=bilinear{last}"))
    elif settings.side:
        chain.append(graph.add("scale", f"{scaled(width, height, settings.side)}:flags=bicubic{last}"))
    if settings.fps:
        chain.append(graph.add("fps" if settings.drop else "minterpolate", f"fps={settings.fps}"))
    if settings.fps or len(chain) == 1 + len(turn.filters()):
        chain.append(graph.add("scale", f"flags=bicubic{colors}"))
    chain.append(graph.add("format", "rgb24" if settings.quality else _MJPEG_FORMATS))
    chain.append(graph.add("buffersink"))
    for before, after in zip(chain, chain[1:]):
        before.link_to(after)
    graph.configure()
    return graph


def _rate(video: VideoFile, settings: Settings) -> Fraction:
    return Fraction(settings.fps or video.stream.average_rate or _USUAL_RATE)


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
