"""What one worker process does: decode a video once and put its clips into their slots; finish a file."""

from __future__ import annotations

import os
import threading
from collections import deque
from dataclasses import dataclass
from typing import Deque, Iterator, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from pipeline.artifact import sha256_file
from pipeline.card import Transform
from preprocess.sampling import Window
from preprocess.sources import BadVideoError, Source
from preprocess.transform import ClipWriter, crop_frame


@dataclass(frozen=True)
class Target:
    """Where one clip goes: a file under its temporary name, and the offset in bytes."""

    path: str
    offset: int


@dataclass(frozen=True)
class Recipe:
    """How every clip of the run is made."""

    transform: Transform
    layout: str
    dtype: str
    frames: int


@dataclass(frozen=True)
class VideoTask:
    """The clips to make from one video, in time order."""

    source: Source
    clips: Tuple[Tuple[Window, Target], ...]
    recipe: Recipe


def watch_parent() -> None:
    """End this process as soon as its parent is gone, so that a killed run leaves no worker behind."""
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    parent = parent_process()

    def leave_with_parent() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()


def make_clips(task: VideoTask) -> Optional[str]:
    """Write all clips of one video.

    Returns:
        None, or the reason why the video cannot be used; its slots may then hold anything.
    """
    targets = [target for _, target in task.clips]
    try:
        for index, clip in iter_clips(task.source, [window for window, _ in task.clips], task.recipe):
            _write(clip, targets[index])
    except BadVideoError as reason:
        return str(reason)
    return None


def iter_clips(source: Source, windows: Sequence[Window], recipe: Recipe) -> Iterator[Tuple[int, np.ndarray]]:
    """Yield (index, clip) for windows in time order; each frame is decoded once, however many windows show it.

    A clip is contiguous, in the recipe's dtype and layout, without its batch axis.

    Raises:
        BadVideoError: a frame is missing or cannot be decoded.
    """
    writer = ClipWriter(recipe.transform, recipe.layout, recipe.dtype)
    waiting = deque(enumerate(windows))
    opened: Deque[_OpenClip] = deque()
    for number, image in source.read(_numbers(windows)):
        frame = _crop(image, number, recipe.transform)
        while waiting and waiting[0][1].first <= number:
            opened.append(_OpenClip(*waiting.popleft()))
        for clip in opened:
            clip.frames.append(frame)
        # Windows end in the order in which they begin, so only the oldest ones can be complete.
        while opened and opened[0].window.last == number:
            done = opened.popleft()
            repeated = [done.frames[index % done.window.count] for index in range(recipe.frames)]
            yield done.index, writer.pack(np.stack(repeated))


def finish_file(temporary: str, final: str) -> str:
    """Give a filled file its final name, once it is on the disk, and return its SHA-256."""
    digest = sha256_file(temporary)
    with open(temporary, "rb+") as stream:
        os.fsync(stream.fileno())
    os.replace(temporary, final)
    return digest


class _OpenClip:
    """A clip whose frames are being collected."""

    def __init__(self, index: int, window: Window) -> None:
        self.index = index
        self.window = window
        self.frames: List[np.ndarray] = []


def _numbers(windows: Sequence[Window]) -> List[int]:
    return sorted({number for window in windows for number in range(window.first, window.last + 1)})


def _crop(image: Image.Image, number: int, transform: Transform) -> np.ndarray:
    try:
        return crop_frame(image, transform)
    except (OSError, ValueError) as error:
        raise BadVideoError(f"frame {number} cannot be transformed ({error})") from None


def _write(clip: np.ndarray, target: Target) -> None:
    packed = memoryview(clip.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
    handle = os.open(target.path, os.O_WRONLY)
    try:
        done = 0
        while done < len(packed):
            done += os.pwrite(handle, packed[done:], target.offset + done)
    except OSError as error:
        error.filename = target.path
        raise
    finally:
        os.close(handle)
