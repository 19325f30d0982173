"""Decode a folder of videos into folders of JPEG frames, as the 3d_resnet recipe lays them out.

    python -m scripts.extract_frames hmdb51/videos hmdb51/jpg

turns ``VIDEOS/<class>/<name>.avi`` into ``OUTPUT/<class>/<name>/image_00001.jpg`` and so on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, Tuple

from pipeline.command import Parser, positive, run, split_list
from pipeline.console import Console
from pipeline.errors import RequestError
from pipeline.facts import usable_cores

if TYPE_CHECKING:
    from scripts.frame_folder import Outcome, Task
    from scripts.jpeg_frames import Settings

_PROG = "python -m scripts.extract_frames"
_EXTENSIONS = "avi,mp4,mkv,webm,mov,mpg,m4v"
_FFMPEG = "ffmpeg"


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Extract frames; see ``python -m scripts.extract_frames --help``."""
    args = _parser().parse_args(argv)
    return run("extract_frames", lambda: _extract(args))


def _parser() -> Parser:
    parser = Parser(
        prog=_PROG,
        description="Decode VIDEOS/<class>/<name>.avi into OUTPUT/<class>/<name>/image_00001.jpg and so on.",
        epilog=f"example:\n  {_PROG} hmdb51/videos hmdb51/jpg",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("videos", metavar="VIDEOS", help="folder with one folder of videos per class")
    add("output", metavar="OUTPUT", help="folder for the frames")
    add("--size", type=_side, default=240, metavar="N|original", help="shorter side in pixels (default: 240)")
    add(
        "--quality",
        type=_quality,
        default=0,
        metavar=f"{_FFMPEG}|1..100",
        help="JPEG encoder: the ffmpeg tool's default, or Pillow's at this quality (default: ffmpeg)",
    )
    add("--fps", type=positive, default=0, metavar="N", help="change the rate by motion interpolation (default: keep)")
    add("--extension", default=_EXTENSIONS, metavar="LIST", help=f"video files end so (default: {_EXTENSIONS})")
    add("--workers", type=positive, default=usable_cores(), metavar="N", help="processes (default: one per core)")
    add("--strict", action="store_true", help="exit with 2 if a video had to be skipped")
    add("--force", action="store_true", help="extract also what is up to date")
    add("--quiet", action="store_true", help="only warnings and results")
    return parser


def _extract(args: argparse.Namespace) -> int:
    from pipeline.artifact import folder_lock
    from scripts.jpeg_frames import Settings

    console = Console("extract_frames", args.quiet)
    settings = Settings(args.size, args.quality, args.fps)
    tasks = plan(Path(args.videos), Path(args.output), settings, split_list(args.extension), args.force)
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


def plan(videos: Path, output: Path, settings: Settings, extensions: Sequence[str], force: bool = False) -> List[Task]:
    """Return what is to do, in the order of the names.

    Raises:
        RequestError: no such folder, no video in it, or two videos whose frames would go into the same folder.
    """
    from scripts.frame_folder import Task

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
        Task(str(path), str(output / label / name), settings, force) for (label, name), path in sorted(found.items())
    ]


def _files(videos: Path) -> List[Path]:
    if not videos.is_dir():
        raise RequestError("no such folder", videos, "check VIDEOS")
    folders = [path for path in videos.iterdir() if path.is_dir() and not path.name.startswith(".")]
    files = (path for folder in folders for path in folder.iterdir() if path.is_file())
    return sorted(path for path in files if not path.name.startswith("."))


def _run(tasks: Sequence[Task], workers: int, console: Console) -> List[Outcome]:
    from scripts.frame_folder import extract
    from scripts.parallel import each

    outcomes: Dict[str, Outcome] = {}
    console.say(f"{len(tasks)} videos")
    with console.progress(len(tasks), "videos") as progress:
        for task, outcome in each(extract, tasks, workers):
            outcomes[task.video] = outcome
            progress.advance()
    for task in tasks:
        if outcomes[task.video].state == "skipped":
            console.warn(f"skipped {task.video}: {outcomes[task.video].reason}")
    return [outcomes[task.video] for task in tasks]


def _side(text: str) -> int:
    return 0 if text == "original" else positive(text)


def _quality(text: str) -> int:
    if text == _FFMPEG:
        return 0
    if not text.isdigit() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is neither {_FFMPEG} nor an integer from 1 to 100")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
