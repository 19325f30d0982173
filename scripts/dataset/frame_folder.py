"""One video into one folder of frames, which is whole when it exists."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Optional

from clip2om.pipeline.artifact import PARTIAL_PREFIX, read_json, sha256_file, write_json
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.frame_names import FrameNames
from clip2om.pipeline.naming import written
from clip2om.pipeline.typed import from_dict, to_dict
from clip2om.preprocess.errors import BadVideoError, is_of_the_run, words
from clip2om.preprocess.sources import decoder_versions
from clip2om.scripts.dataset.jpeg_frames import Settings, jpeg_frames

_RECORD = ".frames.json"
_RECORD_VERSION = 1


@dataclass(frozen=True)
class Task:
    """One video file, and the folder that its frames shall be in."""

    video: str
    folder: str
    settings: Settings
    force: bool = False
    names: FrameNames = field(default_factory=FrameNames)


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
    try:
        origin = {"sha256": sha256_file(task.video), "settings": to_dict(task.settings)}
    except OSError as error:
        if is_of_the_run(error):
            raise
        return Outcome("skipped", 0, f"cannot be read ({words(error)})")
    count = None if task.force else _frames_of(final, origin, task.names)
    if count is not None:
        return Outcome("kept", count)
    if final.exists() and not _holds_frames_only(final, task.names):
        return Outcome("skipped", 0, f"{final} holds other things than frames, move it away")
    temporary = final.parent / (PARTIAL_PREFIX + hashlib.sha256(os.fsencode(final.name)).hexdigest()[:16])
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
    for index, data in enumerate(jpeg_frames(task.video, task.settings)):
        _write_file(folder / task.names.name(index), data)
        count = index + 1
    payload = {
        **origin,
        "names": to_dict(task.names),
        "video": written(os.path.basename(task.video)),
        "frames": count,
        "versions": decoder_versions(["video"]),
    }
    write_json(folder / _RECORD, "frames", _RECORD_VERSION, payload)
    return count


def _write_file(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        # A full disk does not say by itself which one it is.
        error.filename = str(path)
        raise


def _frames_of(folder: Path, origin: Dict[str, Any], names: FrameNames) -> Optional[int]:
    """Return the number of frames in a folder that is complete and made from ``origin``, else None."""
    try:
        record = read_json(folder / _RECORD, "frames", _RECORD_VERSION, "")
    except RequestError:
        return None
    count = len(names.numbers(os.listdir(folder)))
    # A record of an earlier release lacks the settings that it did not have.
    made = {**to_dict(Settings()), **(record.get("settings") or {})}
    same = made == origin["settings"] and record.get("sha256") == origin["sha256"]
    return count if same and record.get("frames") == count else None


def _holds_frames_only(folder: Path, names: FrameNames) -> bool:
    """True where a folder may be replaced: all in it are frames of these names, or of those that our record names."""
    if not folder.is_dir():
        return False
    found = os.listdir(folder)
    if _RECORD in found:
        names = _recorded_names(folder) or names
    return all(name == _RECORD or names.number(name) is not None for name in found)


def _recorded_names(folder: Path) -> Optional[FrameNames]:
    """Return how the frames of a folder of ours are called."""
    try:
        record = read_json(folder / _RECORD, "frames", _RECORD_VERSION, "")
        return from_dict(FrameNames, record.get("names", {}), folder / _RECORD, "names")
    except RequestError:
        return None


def _replace(final: Path, new: Path) -> None:
    """Give ``new`` the name ``final``; a folder that has it makes way in one step and is deleted afterwards."""
    old = new.with_name(new.name + "-old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    new.rename(final)
    shutil.rmtree(old, ignore_errors=True)
