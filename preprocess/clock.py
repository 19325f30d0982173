"""How many frames per second a video has, and when each is shown: what samplers with a rate go by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Optional, Protocol, Sequence, Tuple

from clip2om.preprocess.errors import BadVideoError
from clip2om.preprocess.samplers.torchvision import resampled, resampled_by_stamps

# Of rates as containers tell them, 30000/1001 among them.
_LARGEST_DENOMINATOR = 100_000
# A stamp is off by as much of a frame before the rate counts as variable.
_OFF = 0.5


@dataclass(frozen=True)
class Clock:
    """The times of a video's frames.

    Attributes:
        rate: Frames per second on the average; None where nobody tells.
        starts: When each frame is shown, in seconds from the first one on; empty where frames are evenly spaced, or
            where the file does not tell.
        end: When the last frame is gone, where there are ``starts``.
    """

    rate: Optional[Fraction] = None
    starts: Tuple[float, ...] = ()
    end: float = 0.0

    @property
    def fps(self) -> float:
        """Average frames per second.

        Raises:
            BadVideoError: nobody tells.
        """
        return float(self.exact)

    @property
    def exact(self) -> Fraction:
        """:attr:`fps` as a fraction; raises as it does."""
        if not self.rate:
            raise BadVideoError("nothing tells its frames per second, which the sampler needs; --set dataset.rate=R")
        return self.rate

    def part(self, first: int, count: int) -> Clock:
        """Return the clock of ``count`` frames from position ``first`` on."""
        if not self.starts:
            return self
        zero, last = self.starts[first], first + count
        end = self.starts[last] if last < len(self.starts) else self.end
        return replace(self, starts=tuple(time - zero for time in self.starts[first:last]), end=end - zero)

    @property
    def varies(self) -> bool:
        """True where some frame is shown half a frame or more away from its place at the average rate."""
        if len(self.starts) < 2 or not self.rate:
            return False
        step = self.end / len(self.starts)
        return any(abs(time - index * step) >= _OFF * step for index, time in enumerate(self.starts))

    def resampled(self, count: int, target: float) -> "list[int]":
        """Return which of ``count`` frames make ``target`` per second; by their stamps where the rate varies."""
        if self.varies:
            return resampled_by_stamps(self.starts, self.end, target)
        return resampled(count, self.fps, target)

    def times(self, count: int) -> "list[Fraction]":
        """Return when each of ``count`` frames begins, in exact seconds, and last when the video ends."""
        if self.varies:
            return [Fraction(time).limit_denominator(1_000_000) for time in (*self.starts, self.end)]
        return [index / self.exact for index in range(count + 1)]


NO_CLOCK = Clock()


class Times(Protocol):
    """What :class:`preprocess.video_files.FrameTimes` tells."""

    @property
    def zero(self) -> float:
        """When the first frame is shown."""

    @property
    def starts(self) -> Sequence[float]:
        """When each frame is shown, empty where only the rate is known."""

    @property
    def end(self) -> float:
        """When the last frame is gone."""


def clock_of(times: Optional[Times], rate: Optional[float], count: int) -> Clock:
    """Return the clock of a video file of ``count`` frames, by what it tells of times and average rate."""
    exact = fraction_of(rate) if rate else None
    if times is None or len(times.starts) != count:
        return Clock(exact)
    end = times.end - times.zero
    if exact is None and end > 0:
        exact = fraction_of(count / end)
    return Clock(exact, tuple(start - times.zero for start in times.starts), end)


def fraction_of(rate: float) -> Fraction:
    """Return a rate as the fraction that is meant by it."""
    return Fraction(rate).limit_denominator(_LARGEST_DENOMINATOR)
