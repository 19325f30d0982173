"""What one worker process does: decode a video once and put its clips into their slots; finish a file."""

from __future__ import annotations

import os
import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import Callable, Dict, Iterator, Optional, Protocol, Sequence, Tuple, Union

import numpy as np

from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.card import Card, Transform
from clip2om.pipeline.tensor import TensorSpec
from clip2om.preprocess.crops import Pixels, single
from clip2om.preprocess.errors import BadVideoError, is_of_the_run
from clip2om.preprocess.frames import Frame
from clip2om.preprocess.samplers.numbers import BLACK
from clip2om.preprocess.sampling import Clip
from clip2om.preprocess.sources import Source
from clip2om.preprocess.transform import crop_frame, crops_of_frame
from clip2om.preprocess.values import ClipWriter, mean_volume, volume_path

# A frame with one crop, or with several.
Shown = Union[np.ndarray, Pixels]


@dataclass(frozen=True)
class Target:
    """Where one clip goes: a file under its temporary name, and the offset in bytes."""

    path: str
    offset: int


@dataclass(frozen=True)
class Recipe:
    """How every clip of the run is made.

    Attributes:
        shape: Of one clip, in the order of ``layout`` without its batch axes.
        volume: File of the mean volume.
    """

    transform: Transform
    layout: str
    dtype: str
    frames: int
    shape: Tuple[int, ...]
    volume: Optional[str] = None


@dataclass(frozen=True)
class VideoTask:
    """The clips to make from one video: frames and place of each, and the number of its crop."""

    source: Source
    clips: Tuple[Tuple[Clip, Target, int], ...]
    recipe: Recipe


def recipe_of(card: Card, tensor: TensorSpec) -> Recipe:
    """Return how the clips of ``tensor`` are made by the rules of a card.

    Raises:
        RequestError: the card's mean volume is not one.
    """
    shape, layout = tensor.shape[-4:], tensor.layout
    if "T" not in layout:
        # Frames along the batch axis are the same bytes as clips whose first axis they are.
        shape, layout = (card.clips.frames, *tensor.shape[1:]), f"NT{layout[1:]}"
    return Recipe(card.transform, layout, tensor.dtype, card.clips.frames, shape, volume_path(card))


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
    shown, crops = [frames for frames, _, _ in task.clips], [crop for _, _, crop in task.clips]
    clip = np.empty(task.recipe.shape, task.recipe.dtype)
    try:
        with _Files() as files:
            for index, _ in iter_clips(task.source, shown, task.recipe, lambda _: clip, crops):
                files.write(clip, task.clips[index][1])
    except BadVideoError as reason:
        return str(reason)
    return None


class FrameSource(Protocol):
    """What gives frames by their numbers: a :class:`preprocess.sources.Source`, or frames in memory."""

    def read(self, numbers: Sequence[int]) -> Iterator[Tuple[int, Frame]]:
        """Yield (number, frame) for the ascending frame ``numbers``."""


def iter_clips(
    source: FrameSource,
    clips: Sequence[Clip],
    recipe: Recipe,
    place: Optional[Callable[[int], np.ndarray]] = None,
    crops: Sequence[int] = (),
) -> Iterator[Tuple[int, np.ndarray]]:
    """Yield (index, clip) as clips are complete; each frame is decoded once, however many clips show it.

    A frame is kept until the last clip that shows it is complete. Clips that begin one after the other come in order.
    A clip is in the recipe's dtype and layout, without its batch axis.

    Args:
        source: The video.
        clips: The frame numbers of each clip.
        recipe: How clips are made.
        place: Gives the array that clip ``index`` is written to, of its shape and dtype; new ones without it.
        crops: The number of the crop that each clip shows, where frames have several; all come from one resize.

    Raises:
        BadVideoError: a frame is missing or cannot be decoded.
    """
    writer = _writer(recipe)
    waiting = deque(sorted(range(len(clips)), key=lambda index: max(clips[index])))
    uses = Counter(number for clip in clips for number in set(clip))
    black = uses.pop(BLACK, 0)
    frames: Dict[int, Shown] = {}
    for number, frame in source.read(sorted(uses)):
        frames[number] = _crop(frame, number, recipe.transform)
        if black and BLACK not in frames:
            frames[BLACK], uses[BLACK] = np.zeros_like(_pixels(frames[number], 0)), black
        while waiting and max(clips[waiting[0]]) == number:
            index = waiting.popleft()
            crop = crops[index] if crops else 0
            yield index, writer.pack([_pixels(frames[shown], crop) for shown in clips[index]], place and place(index))
            uses.subtract(set(clips[index]))
            frames = {shown: frame for shown, frame in frames.items() if uses[shown]}


def finish_file(temporary: str, final: str) -> str:
    """Give a filled file its final name, once it is on the disk, and return its SHA-256."""
    digest = sha256_file(temporary)
    with open(temporary, "rb+") as stream:
        os.fsync(stream.fileno())
    os.replace(temporary, final)
    return digest


def _writer(recipe: Recipe) -> ClipWriter:
    transform = recipe.transform
    volume = mean_volume(recipe.volume, recipe.frames, transform.size) if recipe.volume else None
    return ClipWriter(transform, recipe.layout, recipe.dtype, volume)


def _pixels(shown: Shown, crop: int) -> np.ndarray:
    return shown.crop(crop) if isinstance(shown, Pixels) else shown


def _crop(frame: Frame, number: int, transform: Transform) -> Shown:
    try:
        return crop_frame(frame, transform) if single(transform) else crops_of_frame(frame, transform)
    except Exception as error:
        if is_of_the_run(error):
            raise
        raise BadVideoError(f"frame {number} cannot be transformed ({error})") from None


class _Files:
    """The file that is being written: clips of one video mostly go to the same one."""

    def __init__(self) -> None:
        self._path = ""
        self._handle = -1

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *_: object) -> None:
        if self._path:
            os.close(self._handle)
            self._path = ""

    def write(self, clip: np.ndarray, target: Target) -> None:
        """Write a clip to its place."""
        if target.path != self._path:
            self.__exit__()
            self._handle = os.open(target.path, os.O_WRONLY)
            self._path = target.path
        packed = memoryview(clip.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        try:
            done = 0
            while done < len(packed):
                done += os.pwrite(self._handle, packed[done:], target.offset + done)
        except OSError as error:
            error.filename = target.path
            raise
