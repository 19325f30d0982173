"""One video into one folder of frames ``image_00001.jpg`` ..., which is whole when it exists."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Optional

from pipeline.artifact import PARTIAL_PREFIX, read_json, sha256_file, write_json
from pipeline.errors import RequestError
from scripts.jpeg_frames import BadVideoError, Settings, jpeg_frames

FRAME_NAME = "image_{:05d}.jpg"
FRAME_PATTERN = re.compile(r"image_([0-9]{5})\.jpg")
_RECORD = ".frames.json"
_RECORD_VERSION = 1


@dataclass(frozen=True)
class Task:
    """One video file, and the folder that its frames shall be in."""

    video: str
    folder: str
    settings: Settings
    force: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a task: ``made``, ``kept`` or ``skipped``, the latter with its reason."""

    state: str
    frames: int = 0
    reason: str = ""


def extract(task: Task) -> Outcome:
    """Write the frames of a video, unless its folder was made from the same bytes and settings already.

    Raises:
        OSError: the disk is full or not writable.
    """
    final = Path(task.folder)
    origin = {"sha256": sha256_file(task.video), "settings": asdict(task.settings)}
    count = None if task.force else _frames_of(final, origin)
    if count is not None:
        return Outcome("kept", count)
    if final.exists() and not _holds_frames_only(final):
        return Outcome("skipped", 0, f"{final} holds other things than frames, move it away")
    temporary = final.parent / (PARTIAL_PREFIX + hashlib.sha256(final.name.encode()).hexdigest()[:16])
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        count = _write(task, temporary, origin)
        _replace(final, temporary)
    except BadVideoError as error:
        return Outcome("skipped", 0, str(error))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Outcome("made", count)


def _write(task: Task, folder: Path, origin: Dict[str, Any]) -> int:
    count = 0
    for count, data in enumerate(jpeg_frames(task.video, task.settings), start=1):
        _write_file(folder / FRAME_NAME.format(count), data)
    payload = {**origin, "video": os.path.basename(task.video), "frames": count}
    write_json(folder / _RECORD, "frames", _RECORD_VERSION, payload)
    return count


def _write_file(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        # A full disk does not say by itself which one it is.
        error.filename = str(path)
        raise


def _frames_of(folder: Path, origin: Dict[str, Any]) -> Optional[int]:
    """Return the number of frames in a folder that is complete and made from ``origin``, else None."""
    try:
        record = read_json(folder / _RECORD, "frames", _RECORD_VERSION, "")
    except RequestError:
        return None
    count = sum(1 for item in os.scandir(folder) if FRAME_PATTERN.fullmatch(item.name))
    same = {key: record.get(key) for key in origin} == origin
    return count if same and record.get("frames") == count else None


def _holds_frames_only(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    return all(item.name == _RECORD or FRAME_PATTERN.fullmatch(item.name) for item in os.scandir(folder))


def _replace(final: Path, new: Path) -> None:
    """Give ``new`` the name ``final``; a folder that has it makes way in one step and is deleted afterwards."""
    old = new.with_name(new.name + "-old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    new.rename(final)
    shutil.rmtree(old, ignore_errors=True)
