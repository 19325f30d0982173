"""Which frames make a clip: pure arithmetic over frame numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List


@dataclass(frozen=True)
class Window:
    """``count`` consecutive frames from number ``first``, repeated cyclically to the length of a clip."""

    first: int
    count: int

    @property
    def last(self) -> int:
        """Number of the last frame shown."""
        return self.first + self.count - 1

    def frames(self, length: int) -> List[int]:
        """Return the ``length`` frame numbers of the clip, in order."""
        return [self.first + index % self.count for index in range(length)]


def windows(first: int, end: int, length: int, stride: int) -> List[Window]:
    """Cut the segment [first, end) into windows of ``length`` frames that start ``stride`` frames apart.

    The first window that reaches over the end is cut there, and is the last one (sampling of the 3d_resnet recipe,
    3D-ResNets-PyTorch commit 540a0ea). With stride = length that is ceil(n / length) windows.

    Args:
        first: Number of the first frame of the segment.
        end: Number of its last frame + 1; more than ``first``.
        length: Frames per clip.
        stride: Distance of the window starts in frames.
    """
    found = []
    for start in range(first, end, stride):
        count = min(length, end - start)
        found.append(Window(start, count))
        if count < length:
            break
    return found
