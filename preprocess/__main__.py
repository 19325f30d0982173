"""Command line of the preprocess stage."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

from clip2om.pipeline.command import count, positive, run, stage_parser
from clip2om.pipeline.console import Console, size
from clip2om.pipeline.disk import free

if TYPE_CHECKING:
    from clip2om.pipeline.manifest import Skipped
    from clip2om.preprocess.plan import Plan

_EXAMPLE = (
    "python -m preprocess --model 3d_resnet --video-path hmdb51/jpg --annotation-path hmdb51_1.json --output batches"
)
_LISTED = 20


def main(argv: Optional[List[str]] = None) -> int:
    """Run the stage; see ``python -m preprocess --help``."""
    args = make_parser().parse_args(argv)
    return run("preprocess", lambda: preprocess(args))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the stage."""
    parser = stage_parser("preprocess", "Cut the videos of a dataset into clips and pack them into batches.", _EXAMPLE)
    add = parser.add_argument
    add("--video-path", metavar="DIR", help="frames as DIR/label/id/image_%%05d.jpg or videos as DIR/label/id.avi")
    add(
        "--annotation-path", metavar="FILE", help="what dataset.format says: JSON, list or folder (default: the card's)"
    )
    add("--subset", "--inference-subset", metavar="NAME", help="training, validation or testing (default: the card's)")
    add("--output", "--output-path", metavar="DIR", help="folder of the batches (default: build/CARD/batches)")
    add("--layout", choices=("packed", "per-video", "per-clip"), default="packed", help="default: packed")
    add("--batch", type=positive, metavar="N", help="clips per file (default: the card's)")
    add("--dtype", choices=("float32", "uint8"), help="uint8 needs a graph exported with --input-dtype uint8")
    add("--max-clips", type=count, metavar="N", help="keep the first N clips of a video; the published 3d_resnet: 10")
    add(
        "--views", type=positive, default=0, metavar="N", help="N views of a video, always the same ones (default: all)"
    )
    add("--limit", type=count, default=0, metavar="N", help="N videos, spread over the classes, always the same ones")
    add("--dataset", metavar="NAME", help="name of the .info file (default: the card's)")
    add("--file-names", choices=("safe", "id"), default="safe", help="id: per-video files called exactly as the video")
    add("--workers", type=positive, metavar="N", help="processes (default: one per core)")
    add("--strict", action="store_true", help="stop at the first video that cannot be used instead of skipping it")
    add("--dry-run", action="store_true", help="show the plan and stop")
    add("--no-verify", dest="verify", action="store_false", help="do not compare kept files with their SHA-256")
    add("--force", action="store_true", help="make every file anew")
    add("--inference-batch-size", type=int, choices=(1,), default=1, help=argparse.SUPPRESS)
    return parser


def preprocess(args: argparse.Namespace) -> int:
    """Make the batches that ``args`` ask for, or show the plan; what is up to date is kept."""
    from clip2om.pipeline import cards
    from clip2om.pipeline.artifact import folder_lock
    from clip2om.pipeline.card_views import crop_names
    from clip2om.pipeline.errors import RequestError
    from clip2om.pipeline.places import build_folder
    from clip2om.preprocess.annotations import find_annotation, limited, read_annotation
    from clip2om.preprocess.forecast import forecast
    from clip2om.preprocess.plan import Options, make_plan

    console = Console("preprocess", args.quiet)
    # A JSON string is a TOML string, whatever is in it.
    overrides = [*args.set, *([f"dataset.name={json.dumps(args.dataset)}"] if args.dataset else [])]
    card = cards.load(args.model, overrides)
    card.class_names()
    if len(card.transform.mean) != 3:
        raise RequestError(
            f"frames have 3 colours, the network takes {len(card.transform.mean)} channels",
            card.path,
            "make its batches with the tools of its training: docs/formats.md says how they look",
        )
    _require_pillow()
    path = find_annotation(card, args.annotation_path, args.video_path, args.subset)
    annotation = read_annotation(card, path, args.subset or card.dataset.subset)
    own = path if card.dataset.format == "folders" else str(card.resolve(card.dataset.videos))
    options = Options(
        video_path=_folder(args.video_path or own),
        layout=args.layout,
        batch=args.batch or card.input.batch,
        dtype=args.dtype or card.input.dtype,
        max_clips=card.clips.max_clips if args.max_clips is None else args.max_clips,
        file_names=args.file_names,
        views=args.views,
    )
    plan = make_plan(card, limited(annotation, args.limit), options)
    folder = Path(args.output or build_folder(card.name) / "batches")
    _announce(plan, folder, console)
    console.say(f"work: {forecast(plan, len(crop_names(card.transform)))}")
    for note in plan.notes[:_LISTED]:
        console.warn(note)
    if args.dry_run:
        _list_skipped(plan.skipped, console)
        return 0
    _refuse_skipped(plan, args.strict)
    with folder_lock(folder):
        return _carry_out(card, plan, folder, args, console)


def _carry_out(card, plan, path: Path, args: argparse.Namespace, console: Console) -> int:  # type: ignore[no-untyped-def]
    import time

    from clip2om.pipeline.facts import usable_cores
    from clip2om.pipeline.manifest import VERSION, format_version
    from clip2om.preprocess.build import build
    from clip2om.preprocess.folder import BatchFolder

    earlier = format_version(path)
    if earlier not in (None, VERSION):
        console.say(f"{path} is of another release (format {earlier}, this one writes {VERSION}): made anew")
    folder = BatchFolder(path, plan, fresh=args.force, verify=args.verify)
    if folder.altered:
        console.warn(f"{len(folder.altered)} files were altered, {folder.altered[0]} first: made anew")
    _check_space(folder, path)
    start = time.perf_counter()
    outcome = build(card, folder, args.workers or usable_cores(), args.strict, console)
    seconds = time.perf_counter() - start
    manifest = outcome.manifest
    _list_skipped(manifest.skipped, console)
    if not outcome.changed:
        console.say(f"up to date: {path}")
    head = f"{manifest.clips} clips of {len(manifest.videos)} videos in {len(manifest.files)} files"
    kept = len(manifest.files) - outcome.made
    made = f"{outcome.made} files made in {seconds:.1f} s, {kept} kept" if outcome.made else "nothing to make"
    console.result(f"{path}: {head} ({manifest.tensor}), {len(manifest.skipped)} videos skipped; {made}")
    return 0


def _require_pillow() -> None:
    from importlib.util import find_spec

    from clip2om.pipeline.errors import RequestError

    for module, package in (("numpy", "numpy"), ("PIL", "Pillow")):
        if find_spec(module) is None:
            raise RequestError(f"{package} is not installed", sys.executable, "pip install -r requirements/core.txt")


def _folder(path: str) -> str:
    from clip2om.pipeline.errors import RequestError

    if not Path(path).is_dir():
        raise RequestError("no such folder", path, "pass --video-path DIR with the frames or videos of the dataset")
    return path


def _announce(plan: Plan, folder: Path, console: Console) -> None:
    dropped = sum(video.dropped_clips for video in plan.videos)
    cut = f", {dropped} clips cut off" if dropped else ""
    console.say(
        f"plan: {len(plan.videos)} of {len(plan.annotation.entries)} videos ({plan.annotation.subset}), "
        f"{plan.clips} clips{cut}, {len(plan.files)} files of {plan.tensor.clips} "
        f"({plan.slots - plan.clips} slots padded), {size(len(plan.files) * plan.tensor.nbytes)} on disk, "
        f"{size(free(folder))} free"
    )


def _refuse_skipped(plan: Plan, strict: bool) -> None:
    from clip2om.pipeline.errors import RequestError

    if plan.skipped and (strict or not plan.videos):
        first = plan.skipped[0]
        todo = "check --video-path" if not plan.videos else "leave out --strict to skip such videos"
        count_ = f" ({len(plan.skipped)} of {len(plan.annotation.entries)} videos cannot be used)"
        raise RequestError(f"video {first.id!r}: {first.reason}{count_}", plan.annotation.path, todo)


def _check_space(folder, path: Path) -> None:  # type: ignore[no-untyped-def]
    from clip2om.pipeline.errors import RequestError

    needed, room = len(folder.todo) * folder.plan.tensor.nbytes, free(path)
    if needed > room:
        raise RequestError(
            f"{size(needed)} are needed, {size(room)} are free",
            path,
            "choose another --output, --dtype uint8 (a quarter) or --limit N",
        )


def _list_skipped(skipped: List[Skipped], console: Console) -> None:
    for item in skipped[:_LISTED]:
        console.say(f"skipped {item.id!r}: {item.reason}")
    if len(skipped) > _LISTED:
        console.say(f"and {len(skipped) - _LISTED} more, see manifest.json")


if __name__ == "__main__":
    sys.exit(main())
