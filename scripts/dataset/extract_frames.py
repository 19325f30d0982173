"""Decode a folder of videos into folders of JPEG frames, as the recipes lay them out.

    python -m scripts.extract_frames hmdb51/videos hmdb51/jpg
    python -m scripts.extract_frames UCF-101 ucf101/rawframes --profile c3d_mmaction

turn ``VIDEOS/<class>/<name>.avi`` into ``OUTPUT/<class>/<name>/image_00001.jpg`` (or ``img_00001.jpg``) and so on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, Tuple

from clip2om.pipeline.command import Parser, count, positive, run, split_list
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.facts import usable_cores
from clip2om.pipeline.frame_names import FrameNames, jpeg_format
from clip2om.pipeline.naming import VIDEO_SUFFIXES, written
from clip2om.scripts.dataset.frame_profiles import PROFILES
from clip2om.scripts.dataset.jpeg_frames import Settings

if TYPE_CHECKING:
    from clip2om.scripts.dataset.frame_folder import Outcome, Task

_PROG = "python -m scripts.extract_frames"
_EXTENSIONS = ",".join(suffix[1:] for suffix in VIDEO_SUFFIXES)
_FFMPEG = "ffmpeg"
_LISTED = 5
_EPILOG = f"""profiles:
{chr(10).join(f"  {name:<20} {profile.names.name(0)}, {profile.words}" for name, profile in PROFILES.items())}

The options change one part of a profile. Videos stay where they are; a folder of frames is made whole or not at all.

example:
  {_PROG} hmdb51/videos hmdb51/jpg
  {_PROG} UCF-101 ucf101/rawframes --profile c3d_mmaction"""


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Extract frames; see ``python -m scripts.extract_frames --help``."""
    args = _parser().parse_args(argv)
    return run("extract_frames", lambda: _extract(args))


def _parser() -> Parser:
    parser = Parser(
        prog=_PROG,
        description="Decode VIDEOS/<class>/<name>.avi into OUTPUT/<class>/<name>/image_00001.jpg and so on.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("videos", metavar="VIDEOS", help="folder with one folder of videos per class")
    add("output", metavar="OUTPUT", help="folder for the frames")
    add("--profile", choices=sorted(PROFILES), default="3d_resnet", help="whose frames to make (default: 3d_resnet)")
    add("--size", type=_size, metavar="N|WxH|original", help="shorter side, or width and height, in pixels")
    add(
        "--quality",
        type=_quality,
        metavar=f"{_FFMPEG}|1..100",
        help="JPEG encoder: the ffmpeg tool's default, or Pillow's at this quality",
    )
    add("--fps", type=count, metavar="N", help="change the rate (0: keep it)")
    add("--fps-by", choices=("interpolation", "dropping"), help="what --fps does: new frames, or a choice of them")
    add("--frame-name", type=jpeg_format, metavar="FORMAT", help="for example image_{:05d}.jpg or 0000{}.jpg")
    add("--first-frame", type=count, metavar="N", help="number of the first frame")
    add("--as-stored", action="store_true", help="do not turn frames as the file says: decord does not (ffmpeg does)")
    add("--swap-red-blue", action="store_true", help="write them swapped, as r2plus1d_mindspore's own tool does")
    add("--extension", default=_EXTENSIONS, metavar="LIST", help=f"video files end so (default: {_EXTENSIONS})")
    add("--workers", type=positive, default=usable_cores(), metavar="N", help="processes (default: one per core)")
    add("--strict", action="store_true", help="exit with 2 if a video had to be skipped")
    add("--force", action="store_true", help="extract also what is up to date")
    add("--quiet", action="store_true", help="only warnings and results")
    return parser


def chosen(args: argparse.Namespace) -> Tuple[Settings, FrameNames]:
    """Return the profile's settings and names, with what the options change.

    Raises:
        RequestError: --swap-red-blue with the ffmpeg tool's encoder, which knows no RGB.
    """
    profile = PROFILES[args.profile]
    settings, names = profile.settings, profile.names
    side, size = (settings.side, settings.size) if args.size is None else args.size
    settings = Settings(
        side,
        settings.quality if args.quality is None else args.quality,
        settings.fps if args.fps is None else args.fps,
        size,
        settings.drop if args.fps_by is None else args.fps_by == "dropping",
        args.swap_red_blue,
        settings.upright and not args.as_stored,
    )
    if settings.swap and not settings.quality:
        raise RequestError(
            "takes Pillow's encoder", "--swap-red-blue", "add --quality 95, or --profile r2plus1d_mindspore"
        )
    first = names.first if args.first_frame is None else args.first_frame
    return settings, FrameNames(args.frame_name or names.format, first)


def _extract(args: argparse.Namespace) -> int:
    from clip2om.pipeline.artifact import folder_lock

    console = Console("extract_frames", args.quiet)
    settings, names = chosen(args)
    extensions = split_list(args.extension)
    others = passed_over(Path(args.videos), extensions)
    if others:
        more = f" and {len(others) - _LISTED} more" if len(others) > _LISTED else ""
        console.warn(f"{len(others)} files that are no videos by their names: {', '.join(others[:_LISTED])}{more}")
    tasks = plan(Path(args.videos), Path(args.output), settings, extensions, args.force, names)
    with folder_lock(args.output):
        outcomes = _run(tasks, args.workers, console)
    states = [outcome.state for outcome in outcomes]
    console.result(
        f"{args.output}: {sum(outcome.frames for outcome in outcomes)} frames of {len(tasks)} videos; "
        f"{states.count('made')} extracted, {states.count('kept')} up to date, {states.count('skipped')} skipped"
    )
    if states.count("skipped") == len(tasks):
        raise RequestError("no video can be used", args.videos, outcomes[0].reason)
    if args.strict and "skipped" in states:
        raise RequestError(
            f"{states.count('skipped')} videos were skipped", args.videos, "leave out --strict to accept it"
        )
    return 0


def plan(
    videos: Path,
    output: Path,
    settings: Settings,
    extensions: Sequence[str],
    force: bool = False,
    names: Optional[FrameNames] = None,
) -> List[Task]:
    """Return what is to do, in the order of the names.

    Raises:
        RequestError: no such folder, no video in it, or two videos whose frames would go into the same folder.
    """
    from clip2om.scripts.dataset.frame_folder import Task

    suffixes = tuple("." + extension.lstrip(".").lower() for extension in extensions)
    found: Dict[Tuple[str, str], Path] = {}
    for path in _files(videos):
        if path.name.lower().endswith(suffixes):
            # The extension alone is cut: names may hold dots.
            twin = found.setdefault((path.parent.name, path.stem), path)
            if twin != path:
                raise RequestError(f"and {twin.name} would share a folder of frames", path, "rename one of them")
    if not found:
        raise RequestError(f"no VIDEOS/<class>/*.{{{','.join(extensions)}}}", videos, "check VIDEOS and --extension")
    return [
        Task(str(path), str(output / written(label) / written(name)), settings, force, names or FrameNames())
        for (label, name), path in sorted(found.items())
    ]


def passed_over(videos: Path, extensions: Sequence[str]) -> List[str]:
    """Return ``<class>/<name>`` of the files in class folders that end otherwise.

    Raises:
        RequestError: no such folder.
    """
    suffixes = tuple("." + extension.lstrip(".").lower() for extension in extensions)
    found = (path for path in _files(videos) if not path.name.lower().endswith(suffixes))
    return [f"{written(path.parent.name)}/{written(path.name)}" for path in found]


def _files(videos: Path) -> List[Path]:
    if not videos.is_dir():
        raise RequestError("no such folder", videos, "check VIDEOS")
    folders = [path for path in videos.iterdir() if path.is_dir() and not path.name.startswith(".")]
    files = (path for folder in folders for path in folder.iterdir() if path.is_file())
    return sorted(path for path in files if not path.name.startswith("."))


def _run(tasks: Sequence[Task], workers: int, console: Console) -> List[Outcome]:
    from clip2om.scripts.dataset.frame_folder import extract
    from clip2om.scripts.shared.parallel import each

    outcomes: Dict[str, Outcome] = {}
    console.say(f"{len(tasks)} videos")
    with console.progress(len(tasks), "videos") as progress:
        for task, outcome in each(extract, tasks, workers):
            outcomes[task.video] = outcome
            progress.advance()
    for task in tasks:
        if outcomes[task.video].state == "skipped":
            console.warn(f"skipped {written(task.video)}: {outcomes[task.video].reason}")
    return [outcomes[task.video] for task in tasks]


def _size(text: str) -> Tuple[int, Tuple[int, int]]:
    """Return the shorter side and (0, 0), or 0 and (width, height), or zeros for the original size."""
    if text == "original":
        return 0, (0, 0)
    width, cross, height = text.partition("x")
    return (0, (positive(width), positive(height))) if cross else (positive(text), (0, 0))


def _quality(text: str) -> int:
    if text == _FFMPEG:
        return 0
    if not text.isdigit() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is neither {_FFMPEG} nor an integer from 1 to 100")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
