"""Carry out a plan: make the files that are missing or out of date, then write the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, Mapping, NoReturn, Sequence, Set, Tuple

from clip2om.pipeline.artifact import digest_of
from clip2om.pipeline.card import Card
from clip2om.pipeline.card_views import crop_names
from clip2om.pipeline.console import Console, Progress
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import BatchFile, Manifest, Video, read_manifest, write_manifest
from clip2om.preprocess.crops import single
from clip2om.preprocess.folder import BatchFolder
from clip2om.preprocess.journal import DoneFile
from clip2om.preprocess.plan import Plan, PlannedVideo
from clip2om.preprocess.pool import Pool, open_pool
from clip2om.preprocess.sampling import extent
from clip2om.preprocess.worker import VideoTask, finish_file, make_clips


@dataclass(frozen=True)
class Outcome:
    """What a run did: files made anew, and whether anything in the folder changed."""

    manifest: Manifest
    made: int
    changed: bool


def build(card: Card, folder: BatchFolder, workers: int, strict: bool, console: Console) -> Outcome:
    """Make the files of ``folder.todo`` with ``workers`` processes and write the manifest.

    A video that proves bad while it is decoded leaves no slot: the files from its first clip on are made without it.

    Raises:
        RequestError: with ``strict``, at the first video that cannot be used; or no video can be used at all.
        OSError: the disk is full or not writable. Files that have their final name are whole in every case.
    """
    if strict and folder.bad:
        _refuse(folder, next(iter(folder.bad)), next(iter(folder.bad.values())).reason)
    made: Set[str] = set()
    if folder.todo:
        folder.begin()
        clips = _clips(folder)
        with open_pool(workers) as pool, console.progress(clips, "clips") as progress:
            while folder.todo:
                made |= {folder.plan.files[number].name for number in folder.todo}
                bad = _Run(folder, pool, progress).all()
                for name, reason in bad.items():
                    if strict:
                        _refuse(folder, name, reason)
                    console.warn(f"skipped {name!r}: {reason}")
                if bad:
                    folder.leave_out(bad)
                    progress.remain(_clips(folder))
    if not folder.plan.videos:
        folder.end()
        first = folder.plan.skipped[0]
        raise RequestError(
            f"no video can be used: {first.id!r}: {first.reason}, and so on",
            folder.plan.annotation.path,
            "check --video-path",
        )
    manifest = manifest_of(card, folder.plan, folder.done)
    changed = bool(made) or not _is_written(folder.path, manifest)
    if changed:
        folder.end()
        write_manifest(folder.path, manifest)
    return Outcome(manifest, len(made & folder.done.keys()), changed)


def _clips(folder: BatchFolder) -> int:
    return sum(folder.plan.files[number].clips for number in folder.todo)


def _refuse(folder: BatchFolder, name: str, reason: str) -> NoReturn:
    raise RequestError(reason, f"video {name!r} ({folder.path_of(name)})", "leave out --strict to skip it")


class _Run:
    """Hands videos to the pool, and finishes each file when its last clip is there; ends early at a bad video."""

    def __init__(self, folder: BatchFolder, pool: Pool, progress: Progress) -> None:
        self._folder = folder
        self._pool = pool
        self._progress = progress
        self._todo = folder.todo
        self._left: Dict[int, int] = {}
        self._bad: Dict[str, str] = {}

    def all(self) -> Dict[str, str]:
        """Make the files that are to do, and return the videos that proved bad: after one nothing new is begun."""
        for video, task in self._tasks():
            while self._pool.full:
                self._take()
            if self._bad:
                break
            self._pool.submit(video, make_clips, task)
        while self._take():
            pass
        return self._bad

    def _tasks(self) -> Iterator[Tuple[PlannedVideo, VideoTask]]:
        plan = self._folder.plan
        for video in plan.videos:
            wanted = [clip for clip in video.clips if clip.file in self._todo]
            for number in {clip.file for clip in wanted} - self._left.keys():
                self._folder.create(number)
                self._left[number] = plan.files[number].clips
            if wanted:
                clips = tuple((clip.frames, self._folder.target(clip.file, clip.slot), clip.crop) for clip in wanted)
                yield video, VideoTask(video.source, clips, plan.recipe)

    def _take(self) -> bool:
        """Deal with one finished task; False when none is in work."""
        taken = self._pool.take()
        if taken is None:
            return False
        tag, result = taken
        if not isinstance(tag, PlannedVideo):
            self._folder.finished(tag, result)
        elif result is not None:
            self._bad[tag.entry.id] = result
        else:
            self._close(tag)
        return True

    def _close(self, video: PlannedVideo) -> None:
        for clip in video.clips:
            if clip.file not in self._todo:
                continue
            self._left[clip.file] -= 1
            self._progress.advance()
            if not self._left[clip.file]:
                temporary, final = self._folder.temporary(clip.file), self._folder.final(clip.file)
                self._pool.submit_aside(clip.file, finish_file, temporary, final)


def _is_written(folder: Path, manifest: Manifest) -> bool:
    try:
        return (folder / f"{manifest.dataset}.info").is_file() and read_manifest(folder) == manifest
    except RequestError:
        return False


def manifest_of(card: Card, plan: Plan, done: Mapping[str, DoneFile]) -> Manifest:
    """Return the manifest of a plan that has been carried out.

    Args:
        card: The card that the plan was made with.
        plan: What was made.
        done: Each file of the plan, by name.
    """
    videos = []
    for video in plan.videos:
        entry = video.entry
        clips = [(clip.file, clip.slot, *extent(clip.frames)) for clip in video.clips]
        views = [clip.view for clip in video.clips if clip.view is not None]
        videos.append(Video(entry.id, entry.label, video.segment, video.dropped_clips, clips, views))
    files = [BatchFile(file.name, plan.tensor.nbytes, file.clips, done[file.name].sha256) for file in plan.files]
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
        skipped=plan.skipped,
        versions=_versions([done[file.name].versions for file in plan.files]),
        labels_digest=card.labels_digest() or digest_of(plan.annotation.labels),
        crops=[] if single(card.transform) else crop_names(card.transform),
    )


def _versions(found: Sequence[Mapping[str, str]]) -> Dict[str, str]:
    """Return the versions of each library that the files were made with; those of a run before an update are kept."""
    every: Dict[str, Dict[str, None]] = {}
    for versions in found:
        for library, version in versions.items():
            every.setdefault(library, {})[version] = None
    return {library: ", ".join(sorted(versions)) for library, versions in every.items()}
