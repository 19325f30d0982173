"""Carry out a plan: make the files that are missing or out of date, then write the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, Set, Tuple

from clip2om.pipeline.card import Card
from clip2om.pipeline.console import Console, Progress
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import BatchFile, Manifest, Skipped, Video, read_manifest, write_manifest
from clip2om.preprocess.folder import BatchFolder
from clip2om.preprocess.plan import Plan, PlannedVideo
from clip2om.preprocess.pool import Pool, open_pool
from clip2om.preprocess.sources import decoder_versions
from clip2om.preprocess.worker import VideoTask, finish_file, make_clips


@dataclass(frozen=True)
class Outcome:
    """What a run did: files made anew, clips in them, and whether anything in the folder changed."""

    manifest: Manifest
    made: int
    clips: int
    changed: bool


def build(card: Card, plan: Plan, folder: BatchFolder, workers: int, strict: bool, console: Console) -> Outcome:
    """Make the files of ``folder.todo`` with ``workers`` processes and write the manifest.

    Raises:
        RequestError: with ``strict``, at the first video that cannot be used; or no video can be used at all.
        OSError: the disk is full or not writable. Files that have their final name are whole in every case.
    """
    todo = folder.todo
    clips = 0
    if todo:
        folder.begin()
        clips = sum(file.clips for number, file in enumerate(plan.files) if number in todo)
        with open_pool(workers) as pool, console.progress(clips, "clips") as progress:
            _Run(plan, folder, pool, strict, console, progress).all(todo)
    manifest = manifest_of(card, plan, {name: item.sha256 for name, item in folder.done.items()}, folder.bad)
    if not manifest.videos:
        raise RequestError(
            f"no video can be used: {manifest.skipped[0].id!r}: {manifest.skipped[0].reason}, and so on",
            plan.annotation.path,
            "check --video-path",
        )
    changed = bool(todo) or not _is_written(folder.path, manifest)
    if changed:
        folder.end()
        write_manifest(folder.path, manifest)
    return Outcome(manifest, len(todo), clips, changed)


class _Run:
    """Hands videos to the pool, and finishes each file when its last clip is there."""

    def __init__(
        self,
        plan: Plan,
        folder: BatchFolder,
        pool: Pool,
        strict: bool,
        console: Console,
        progress: Progress,
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._pool = pool
        self._strict = strict
        self._console = console
        self._progress = progress
        self._left: Dict[int, int] = {}
        self._bad = folder.bad

    def all(self, todo: Set[int]) -> None:
        """Make the files ``todo``."""
        for video, task in self._tasks(todo):
            if video.entry.id in self._bad:
                self._close(video, todo, self._bad[video.entry.id])
                continue
            while self._pool.full:
                self._take(todo)
            self._pool.submit(video, make_clips, task)
        while self._take(todo):
            pass

    def _tasks(self, todo: Set[int]) -> Iterator[Tuple[PlannedVideo, VideoTask]]:
        for video in self._plan.videos:
            wanted = [clip for clip in video.clips if clip.file in todo]
            for number in {clip.file for clip in wanted} - self._left.keys():
                self._folder.create(number)
                self._left[number] = self._plan.files[number].clips
            if wanted:
                clips = tuple((clip.frames, self._folder.target(clip.file, clip.slot)) for clip in wanted)
                yield video, VideoTask(video.source, clips, self._plan.recipe)

    def _take(self, todo: Set[int]) -> bool:
        """Deal with one finished task; False when none is in work."""
        taken = self._pool.take()
        if taken is None:
            return False
        tag, result = taken
        if isinstance(tag, PlannedVideo):
            self._close(tag, todo, result)
        else:
            self._folder.finished(tag, result, self._bad)
        return True

    def _close(self, video: PlannedVideo, todo: Set[int], reason: object) -> None:
        if reason is not None:
            self._refuse(video, str(reason))
        for clip in video.clips:
            if clip.file not in todo:
                continue
            if reason is not None:
                self._folder.clear(clip.file, clip.slot)
            self._left[clip.file] -= 1
            self._progress.advance()
            if not self._left[clip.file]:
                temporary, final = self._folder.temporary(clip.file), self._folder.final(clip.file)
                self._pool.submit_aside(clip.file, finish_file, temporary, final)

    def _refuse(self, video: PlannedVideo, reason: str) -> None:
        self._bad[video.entry.id] = reason
        if self._strict:
            raise RequestError(
                reason, f"video {video.entry.id!r} ({video.source.path})", "leave out --strict to skip it"
            )
        self._console.warn(f"skipped {video.entry.id!r}: {reason}")


def _is_written(folder: Path, manifest: Manifest) -> bool:
    try:
        return (folder / f"{manifest.dataset}.info").is_file() and read_manifest(folder) == manifest
    except RequestError:
        return False


def manifest_of(card: Card, plan: Plan, digests: Dict[str, str], bad: Dict[str, str]) -> Manifest:
    """Return the manifest of a plan that has been carried out.

    Args:
        card: The card that the plan was made with.
        plan: What was to be made.
        digests: SHA-256 of each file of the plan, by name.
        bad: Videos that turned out unusable, with the reason.
    """
    skipped = {item.id: item for item in plan.skipped}
    videos = []
    for video in plan.videos:
        entry = video.entry
        if entry.id in bad:
            skipped[entry.id] = Skipped(entry.id, entry.label, bad[entry.id])
            continue
        clips = [(clip.file, clip.slot, min(clip.frames), max(clip.frames)) for clip in video.clips]
        videos.append(Video(entry.id, entry.label, video.segment, video.dropped_clips, clips))
    used = [0] * len(plan.files)
    for kept in videos:
        for clip in kept.slots():
            used[clip.file] += 1
    files = [
        BatchFile(file.name, plan.tensor.nbytes, used[number], digests[file.name])
        for number, file in enumerate(plan.files)
    ]
    return Manifest(
        card=card.name,
        card_digest=card.digest("input", "clips", "transform"),
        transform_digest=card.digest("transform"),
        dataset=card.dataset.name,
        subset=plan.annotation.subset,
        annotation=Path(plan.annotation.path).name,
        annotation_sha256=plan.annotation.sha256,
        layout=plan.layout,
        tensor=plan.tensor,
        fingerprint=plan.fingerprint,
        labels=plan.annotation.labels,
        expected=len(plan.annotation.entries),
        files=files,
        videos=videos,
        skipped=[skipped[entry.id] for entry in plan.annotation.entries if entry.id in skipped],
        versions=decoder_versions([video.source.kind for video in plan.videos]),
    )
