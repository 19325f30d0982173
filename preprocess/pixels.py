"""Decoded video frames into RGB pixels that are the same with every version of PyAV, and upright.

The conversion is that of the ffmpeg tool: libavfilter's scale filter (bicubic), which goes by the matrix and the range
that each frame names. PyAV's own ``reformat`` takes BT.601 for every frame up to version 16, interpolates chroma in
another way where it is not plain 4:2:0, and from 18 on differs in interlaced frames. For the frames of which it makes
the same bytes in every version (:func:`_is_plain`) it is used: opening filters takes as long as several frames.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Optional, Tuple

import numpy as np

from clip2om.preprocess.containers import import_av
from clip2om.preprocess.errors import BadVideoError

# The kernels may read past the last pixel by less than this.
_SLACK = 64
# Numbers of FFmpeg's enumerations: unspecified, BT.470BG, SMPTE 170M; unspecified, limited.
_BT601, _LIMITED = (2, 5, 6), (0, 1)
_TICK = Fraction(1, 1000)


class RgbConverter:
    """Turns the frames of one video into uint8 (H, W, 3); what it returns is valid until the next call.

    Args:
        upright: Turn and mirror frames as the video's display matrix says.
    """

    def __init__(self, upright: bool) -> None:
        self._upright = upright
        self._turn: Optional[Turn] = None
        self._reformat = import_av().video.reformatter.VideoReformatter().reformat
        self._alone = {"threads": 1} if int(import_av().__version__.partition(".")[0]) >= 17 else {}
        self._kind: Tuple[Any, ...] = ()
        self._graph: Any = None
        self._source: Any = None
        self._sink: Any = None

    def pixels(self, frame: Any) -> np.ndarray:
        """Return the pixels of a frame.

        Raises:
            BadVideoError: its display matrix turns by something else than quarters.
        """
        if self._turn is None:
            self._turn = turn_of(frame) if self._upright else Turn()
        if _is_plain(frame):
            return self._turn.apply(_view(self._reformat(frame, format="rgb24", **self._alone)))
        kind = (frame.format.name, frame.width, frame.height, frame.colorspace, frame.color_range)
        if kind != self._kind:
            self._open(frame)
            self._kind = kind
        self._source.push(frame)
        return self._turn.apply(_view(self._sink.pull()))

    def _open(self, frame: Any) -> None:
        graph = import_av().filter.Graph()
        self._source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or _TICK
        )
        # One thread: every worker has a core already.
        chain = (self._source, graph.add("scale", "flags=bicubic:threads=1"), graph.add("format", "rgb24"))
        self._sink = graph.add("buffersink")
        for before, after in zip(chain, (*chain[1:], self._sink)):
            before.link_to(after)
        graph.configure()
        # PyAV's contexts do not keep their graph alive.
        self._graph = graph


class Turn:
    """How stored pixels are to be shown: rows and columns swapped first, then mirrored."""

    def __init__(self, swap: bool = False, flip_x: bool = False, flip_y: bool = False) -> None:
        self.swap, self.flip_x, self.flip_y = swap, flip_x, flip_y

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Return the pixels as they are to be shown."""
        if not (self.swap or self.flip_x or self.flip_y):
            return pixels
        shown = pixels.transpose(1, 0, 2) if self.swap else pixels
        shown = shown[:, ::-1] if self.flip_x else shown
        shown = shown[::-1] if self.flip_y else shown
        place = np.empty(shown.size + _SLACK, np.uint8)[: shown.size].reshape(shown.shape)
        place[...] = shown
        return place

    def filters(self) -> Tuple[str, ...]:
        """Return the same as names of libavfilter's filters with their arguments."""
        if self.swap:
            ways = {(False, False): "cclock_flip", (True, False): "clock", (False, True): "cclock"}
            return (f"transpose={ways.get((self.flip_x, self.flip_y), 'clock_flip')}",)
        return (*(("hflip",) if self.flip_x else ()), *(("vflip",) if self.flip_y else ()))


def turn_of(frame: Any) -> Turn:
    """Return how a frame is to be shown, by its display matrix, as the ffmpeg tool does.

    Raises:
        BadVideoError: it turns by something else than quarters.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return Turn()
    a, b, _, c, d = np.frombuffer(data, "<i4")[:5].tolist()
    # (x, y) is shown at (a x + c y, b x + d y).
    angle = math.degrees(math.atan2(b, a)) % 90 if a or b else 0.0
    if (a == b == c == d == 0) or min(angle, 90 - angle) > 1:
        raise BadVideoError("is to be shown turned by something else than quarters, which is not supported")
    if abs(a) >= abs(b):
        return Turn(False, a < 0, d < 0)
    return Turn(True, c < 0, b < 0)


def _is_plain(frame: Any) -> bool:
    """True for 8-bit 4:2:0 of even sides, progressive, of limited range and BT.601 or no matrix named."""
    return (
        frame.format.name == "yuv420p"
        and frame.colorspace in _BT601
        and frame.color_range in _LIMITED
        and not (frame.height | frame.width) & 1
        and not frame.interlaced_frame
    )


def _view(frame: Any) -> np.ndarray:
    """Return the picture without copying it; its rows are padded."""
    (plane,) = frame.planes
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height]
    return rows[:, : 3 * frame.width].reshape(frame.height, frame.width, 3)
