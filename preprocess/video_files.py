"""Video files: frames counted, without decoding where that is proven, and decoded once as far as they are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from clip2om.preprocess.containers import VideoFile, open_video
from clip2om.preprocess.errors import BadVideoError
from clip2om.preprocess.packets import PacketRule
from clip2om.preprocess.pixels import RgbConverter
from clip2om.preprocess.truncation import ends_early


@dataclass(frozen=True)
class FrameTimes:
    """When frames are shown, in seconds: the beginnings of frames, and the end of the last; or the rate of all."""

    zero: float
    starts: Sequence[float]
    end: float
    rate: float = 0.0

    def span(self, first: int, last: int) -> Tuple[float, float]:
        """Return begin and end of the frames ``first`` to ``last``, counted from 1, from the first frame on."""
        if self.rate:
            return (first - 1) / self.rate, last / self.rate
        end = self.starts[last] if last < len(self.starts) else self.end
        return self.starts[first - 1] - self.zero, end - self.zero


class Stamps:
    """The time stamps of frames in the order in which they are shown."""

    def __init__(self) -> None:
        self.count = 0
        self._starts: List[float] = []
        self._last = 0.0

    def add(self, frame: Any) -> None:
        """Note the next frame, or its packet; a stamp that is missing or not later makes all of them useless."""
        ticks = frame.pts if frame.pts is not None else frame.dts
        time = float(ticks * frame.time_base) if ticks is not None and frame.time_base else None
        if time is not None and len(self._starts) == self.count and (not self.count or time > self._starts[-1]):
            self._starts.append(time)
            self._last = float((getattr(frame, "duration", 0) or 0) * frame.time_base)
        self.count += 1

    def times(self, rate: Optional[float]) -> Optional[FrameTimes]:
        """Return when frames are shown: by their stamps, by the average rate without them, None where there is none."""
        if not self.count:
            return None
        if len(self._starts) == self.count:
            end = self._starts[-1] + (self._last or (1 / rate if rate else 0.0))
            return FrameTimes(self._starts[0], self._starts, end)
        return FrameTimes(0.0, [], 0.0, rate) if rate else None


@dataclass(frozen=True)
class Scan:
    """What is known of a video file without its pixels.

    Attributes:
        times: When frames are shown; None where the file does not tell, or nobody asked.
        rate: Frames per second on the average, likewise.
        note: What a person should know of the choice of the stream, else empty.
        damage: What is wrong behind the frames that were counted, else empty.
    """

    count: int
    times: Optional[FrameTimes] = None
    rate: Optional[float] = None
    note: str = ""
    damage: str = ""


def read_video(
    path: str, numbers: Sequence[int], first_frame: int, upright: bool = True
) -> Iterator[Tuple[int, np.ndarray]]:
    """Yield (number, pixels) for the ascending frame ``numbers``; pixels are uint8 (H, W, 3) and valid until the next.

    Args:
        path: The file.
        numbers: Which frames.
        first_frame: Number of the file's first frame.
        upright: Turn frames as the display matrix says.

    Raises:
        BadVideoError: the file cannot be decoded, or not as far as the last number.
    """
    wanted = iter(numbers)
    number = next(wanted, None)
    if number is None:
        return
    converter = RgbConverter(upright)
    with open_video(path) as video:
        for current, frame in enumerate(video.frames(), start=first_frame):
            if current != number:
                continue
            yield number, converter.pixels(frame)
            number = next(wanted, None)
            if number is None:
                return
        raise BadVideoError(f"only {video.decoded} frames decode, frame {number} is wanted")


def count_frames(path: str, enough: Optional[int] = None) -> Scan:
    """Count the frames of a video file as they decode.

    Args:
        path: The file.
        enough: A number of packets that is taken for as many frames without a proof, because each of the frames will be
            decoded before it is believed; None counts all, and refuses a file that ends early.

    Raises:
        BadVideoError: the file cannot be opened or decoded, or is cut off.
    """
    with open_video(path) as video:
        rule = PacketRule(video.stream) if enough is None else None
        count, announced, damage = _packets(video, rule)
        note = video.note
    if enough is not None and count >= enough:
        return Scan(count, note=note)
    if rule is None:
        return _decoded(path)
    _check_whole(path, count, announced, damage)
    return Scan(count, note=note) if rule.holds and not damage else _decoded(path)


def check_whole(path: str) -> None:
    """Refuse a file that is cut off.

    Raises:
        BadVideoError: it is, or it cannot be opened.
    """
    with open_video(path) as video:
        found = _packets(video, None)
    _check_whole(path, *found)


def decode_count(path: str) -> int:
    """Count the frames of a video file by decoding all of them.

    Raises:
        BadVideoError: it cannot be opened or decoded.
    """
    return _decoded(path).count


def scan_times(path: str) -> Scan:
    """Count the frames of a video file as they decode, those before a damage too, and note when each is shown.

    Raises:
        BadVideoError: it cannot be opened or decoded, or is cut off.
    """
    with open_video(path) as video:
        packets: List[_Stamp] = []
        rule = PacketRule(video.stream)
        count, announced, damage = _packets(video, rule, packets)
        rate, note = video.rate, video.note
    _check_whole(path, count, announced, damage)
    shown = sorted((packet for packet in packets if packet.pts is not None), key=lambda packet: packet.pts or 0)
    if not rule.holds or damage or len(shown) < count:
        return _decoded(path, as_far=True)
    stamps = Stamps()
    for packet in shown:
        stamps.add(packet)
    return Scan(count, stamps.times(rate), rate, note)


@dataclass(frozen=True)
class _Stamp:
    """The times of a packet, whose bytes are not kept."""

    pts: Optional[int]
    dts: Optional[int]
    time_base: Any
    duration: Optional[int]


def _packets(video: VideoFile, rule: Optional[PacketRule], seen: Optional[List[_Stamp]] = None) -> Tuple[int, int, str]:
    """Return the number of packets that are not empty, that of the header, and what is wrong with one.

    ``seen`` gets the times of each.
    """
    count, damage = 0, ""
    try:
        for packet in video.container.demux(video.stream):
            if packet.size:
                count += 1
                if rule is not None:
                    rule.look(packet)
                if seen is not None:
                    seen.append(_Stamp(packet.pts, packet.dts, packet.time_base, packet.duration))
                damage = damage or ("its last packet is not whole" if packet.is_corrupt else "")
    except (OSError, ValueError) as error:
        damage = getattr(error, "strerror", None) or str(error)
    return count, video.stream.frames, damage


def _check_whole(path: str, count: int, announced: int, damage: str) -> None:
    if announced and count >= announced and not damage:
        return
    if damage or ends_early(path):
        of_all = f"{count} of {announced} frames are" if announced > count else f"no more than {count} frames are"
        raise BadVideoError(f"it is cut off: {of_all} there")


def _decoded(path: str, as_far: bool = False) -> Scan:
    """Decode all frames, or with ``as_far`` those before a damage, if there are any."""
    stamps, rate, note, damage = Stamps(), None, "", ""
    try:
        with open_video(path) as video:
            rate, note = video.rate, video.note
            for frame in video.frames():
                stamps.add(frame)
    except BadVideoError as reason:
        if not (as_far and stamps.count):
            raise
        damage = str(reason)
    return Scan(stamps.count, stamps.times(rate), rate, note, damage)
