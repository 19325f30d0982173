"""The first clips of a batch folder as a batch folder of their own, so that every execution reads the same files."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import List, Optional

from clip2om.infer.reader import verify_file
from clip2om.pipeline.artifact import folder_lock, sha256_file
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import FILE_NAME, BatchFile, Manifest, Video, read_manifest, write_manifest


def first_clips(batches: Path, output: Path, count: int) -> Manifest:
    """Link the first batch files that hold ``count`` clips into ``output``, with a manifest of what they hold.

    The folder is left as it is where its manifest and its files say so already: a link of before the batches were made
    anew leads to what was there then.

    Raises:
        RequestError: ``batches`` has no manifest, no batch, or lacks a file, or one is not the manifest's; ``output``
            is the same folder.
    """
    if output.resolve() == batches.resolve():
        raise RequestError("is the folder of the batches", output, "choose another --output")
    whole = read_manifest(batches)
    if not whole.files:
        raise RequestError("holds no batches", batches / FILE_NAME, "run python -m preprocess again")
    wanted = subset(whole, count)
    with folder_lock(output):
        former = _former(output)
        if former == wanted and all(_is_whole(output / file.name, file) for file in wanted.files):
            return wanted
        (output / FILE_NAME).unlink(missing_ok=True)
        for file in former.files if former else ():
            if Path(file.name).name == file.name:
                (output / file.name).unlink(missing_ok=True)
        for file in wanted.files:
            _link(batches / file.name, output / file.name)
            verify_file(output / file.name, file)
        write_manifest(output, wanted)
    return wanted


def subset(manifest: Manifest, count: int) -> Manifest:
    """Return the manifest of the first files that hold ``count`` clips; other clips count as dropped."""
    files: List = []
    while len(files) < len(manifest.files) and sum(file.clips for file in files) < count:
        files.append(manifest.files[len(files)])
    videos = [_cut(video, len(files)) for video in manifest.videos]
    videos = [video for video in videos if video.clips]
    return replace(manifest, files=files, videos=videos, skipped=[], expected=len(videos))


def _former(output: Path) -> Optional[Manifest]:
    """Return the manifest of an earlier run; None where there is none, or it is of another release."""
    try:
        return read_manifest(output)
    except RequestError:
        return None


def _cut(video: Video, files: int) -> Video:
    kept = [clip for clip in video.clips if clip[0] < files]
    return replace(video, clips=kept, dropped_clips=video.dropped_clips + len(video.clips) - len(kept))


def _is_whole(path: Path, file: BatchFile) -> bool:
    return path.is_file() and sha256_file(path) == file.sha256


def _link(source: Path, target: Path) -> None:
    if not source.is_file():
        raise RequestError("no such file, though the manifest names it", source, "run python -m preprocess again")
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
