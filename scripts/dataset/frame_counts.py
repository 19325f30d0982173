"""How many frames a video has: counted in its frame folder, or in the video file itself."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import List

from clip2om.pipeline.frame_names import FrameNames
from clip2om.pipeline.naming import written
from clip2om.preprocess.errors import BadVideoError

COUNTERS = ("auto", "folder", "decode", "packets")
# Every name that holds the word counts as a frame, unless it starts with a dot.
COMPAT_WORDS = {"3d_resnet": "image", "resnet3d_mindspore": "jpg"}


@dataclass(frozen=True)
class Question:
    """Where to count.

    Attributes:
        folder: The frame folder, whether it exists or not.
        video: The video file, likewise.
        counter: One of :data:`COUNTERS`; auto takes the folder if it exists, else decodes the video.
        compat: Count as this recipe does, one of :data:`COMPAT_WORDS`; empty for counting correctly.
        names: How the frames are called.
    """

    folder: str
    video: str
    counter: str
    compat: str
    names: FrameNames = field(default_factory=FrameNames)


@dataclass(frozen=True)
class Answer:
    """Number of frames, or 0 and the reason why there is none to give."""

    frames: int
    problem: str = ""


def count_frames(question: Question) -> Answer:
    """Count the frames of one video."""
    counter = question.counter
    if counter == "auto":
        counter = "folder" if os.path.isdir(question.folder) or not os.path.exists(question.video) else "decode"
    if counter != "folder":
        return _count_video(question.video, decode=counter == "decode")
    if not os.path.isdir(question.folder):
        return Answer(0, f"no such folder: {question.folder}")
    found = os.listdir(question.folder)
    if question.compat:
        word = COMPAT_WORDS[question.compat]
        return Answer(sum(1 for name in found if word in name and not name.startswith(".")))
    return _count_folder(question.folder, found, question.names)


def _count_folder(folder: str, found: List[str], names: FrameNames) -> Answer:
    """Count the frames, which must follow each other without a gap from the first number on."""
    numbers = names.numbers(found)
    if not numbers:
        return Answer(0, f"{folder} holds no frame {names.name(0)}")
    if min(numbers) < names.first:
        return Answer(0, f"{folder} counts from {min(numbers)}, expected from {names.first}")
    missing = next((number for number in range(names.first, max(numbers)) if number not in numbers), None)
    if missing is not None:
        return Answer(0, f"{names.format.format(missing)} is missing in {folder}")
    return Answer(len(numbers))


def _count_video(path: str, decode: bool) -> Answer:
    """Count the frames of a video file by decoding them, or by its packets where each is proven to be one frame."""
    from clip2om.preprocess.video_files import count_frames as count_packets
    from clip2om.preprocess.video_files import decode_count

    if not os.path.isfile(path):
        return Answer(0, f"no such file: {path}")
    try:
        count = decode_count(path) if decode else count_packets(path).count
    except BadVideoError as error:
        return Answer(0, f"{written(path)}: {error}")
    return Answer(count, "" if count else f"{written(Path(path).name)} holds no frame")
