"""Divide a dataset of class folders into training and validation, always in the same way.

    python -m scripts.split_folders UCF-101 ucf101_split
    python -m scripts.split_folders UCF-101 ucf101_split --as links
    python -m scripts.split_folders ucf101/jpg ucf101_lists --as list --train-share 0.75

write lists, make folders train/ and val/ of links, or write the c3d_tf recipe's train.list and test.list.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from clip2om.pipeline.command import Parser, count, fraction, run
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.texts import read_lines
from clip2om.scripts.dataset.class_folders import Division, class_numbers, divide, find_videos

_PROG = "python -m scripts.split_folders"
_TRAIN, _VAL = "train", "val"
_LISTED = 5
_EPILOG = f"""what --as makes in OUTPUT:
  names   train.txt and val.txt, lines '<class>/<video>'
  links   those, and folders train and val of links to the videos, as the r2plus1d_mindspore recipe lays them out
  move    the same by moving the videos; class folders that this empties are removed, nothing else is
  list    train.list and test.list of the c3d_tf recipe, lines '<VIDEOS>/<class>/<video> <class number>'

The defaults are the r2plus1d_mindspore recipe's: names sorted by the codes of their characters, shuffled by Python's
generator with the number of videos as its seed, the first 0.8 for training. UCF101 gives 10656 and 2664 videos, and the
SHA-256 of the names of val begins with 09c3b3c0f37c. Videos of one group come into both parts, so such an accuracy is
not comparable with UCF101's own splits. The c3d_tf recipe took a quarter at random for its test.list, without a seed:
--train-share 0.75.
Class numbers count from 0 in alphabetical order without regard to case, as UCF101's, or in that of --labels.

example:
  {_PROG} UCF-101 ucf101_split --as links"""


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Divide a dataset; see ``python -m scripts.split_folders --help``."""
    args = _parser().parse_args(argv)
    return run("split_folders", lambda: _split(args))


def _parser() -> Parser:
    parser = Parser(
        prog=_PROG,
        description="Divide VIDEOS/<class>/<video> into training and validation by a seeded shuffle.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("videos", metavar="VIDEOS", help="folder of class folders, which hold video files or folders of frames")
    add("output", metavar="OUTPUT", help="folder for what is made, outside VIDEOS")
    add("--as", dest="form", choices=("names", "links", "move", "list"), default="names", help="default: names")
    add(
        "--train-share", type=fraction, default=0.8, metavar="X", help="share of the videos for training (default: 0.8)"
    )
    add("--seed", type=count, metavar="N", help="of the shuffle (default: the number of videos)")
    add("--labels", metavar="FILE", help="class names in class order, one per line or as classInd.txt (for --as list)")
    add("--quiet", action="store_true", help="only warnings and results")
    return parser


def _split(args: argparse.Namespace) -> int:
    from clip2om.pipeline.artifact import folder_lock

    console = Console("split_folders", args.quiet)
    videos, output = Path(args.videos), Path(args.output)
    if args.labels and args.form != "list":
        raise RequestError("goes with --as list", "--labels")
    if videos.resolve() in (output.resolve(), *output.resolve().parents):
        raise RequestError("lies inside VIDEOS, whose folders are classes", output, "choose another OUTPUT")
    with folder_lock(output):
        if args.form == "list":
            _write_lists(videos, output, args, console)
            return 0
        division = _former(output) if args.form == "move" else None
        division = division or _divide(videos, args, console)
        _write_names(division, output, console)
        if args.form != "names":
            _lay_out(division, videos, output, args.form == "move", console)
    return 0


def _divide(videos: Path, args: argparse.Namespace, console: Console) -> Division:
    found = find_videos(videos)
    if found.others:
        more = f" and {len(found.others) - _LISTED} more" if len(found.others) > _LISTED else ""
        console.warn(f"no videos, passed over: {', '.join(found.others[:_LISTED])}{more}")
    console.say(f"{len(found.names)} videos in {len(found.classes)} class folders")
    return divide(found.names, args.train_share, args.seed)


def _write_names(division: Division, output: Path, console: Console) -> None:
    from clip2om.pipeline.artifact import write_text

    for name, part in ((_TRAIN, division.train), (_VAL, division.val)):
        write_text(output / f"{name}.txt", "\n".join(part) + "\n")
        digest = hashlib.sha256("\n".join(part).encode()).hexdigest()
        console.result(f"{output / name}.txt: {len(part)} videos, SHA-256 of the names {digest}")


def _write_lists(videos: Path, output: Path, args: argparse.Namespace, console: Console) -> None:
    from clip2om.pipeline.artifact import write_text

    division = _divide(videos, args, console)
    labels = _read_labels(Path(args.labels)) if args.labels else None
    classes = sorted({name.partition("/")[0] for name in (*division.train, *division.val)})
    numbers = class_numbers(classes, labels, videos)
    root = args.videos.rstrip("/")
    for name, part in (("train", division.train), ("test", division.val)):
        lines = [f"{root}/{video} {numbers[video.partition('/')[0]]}" for video in part]
        write_text(output / f"{name}.list", "\n".join(lines) + "\n")
        console.result(f"{output / name}.list: {len(part)} videos of {len(numbers)} classes")
    if any(" " in name for name in (root, *division.train, *division.val)):
        console.warn("some names hold blanks: this project reads such lists, the recipe's own scripts do not")


def _read_labels(path: Path) -> List[str]:
    """Read class names, one per line, with or without a number before them."""
    lines = [line.strip() for line in read_lines(path, "check --labels") if line.strip()]
    numbered = [line.partition(" ") for line in lines]
    if all(number == str(place) and name for place, (number, _, name) in enumerate(numbered, 1)):
        lines = [name.strip() for _, _, name in numbered]
    if not lines or len(set(lines)) != len(lines):
        raise RequestError("holds no class name, or one twice", path, "expected one class name per line")
    return lines


def _former(output: Path) -> Optional[Division]:
    """Return the division of a move that was interrupted: what is left of the videos would give another one."""
    parts: Dict[str, List[str]] = {}
    for name in (_TRAIN, _VAL):
        path = output / f"{name}.txt"
        if path.is_file() and (output / _TRAIN).is_dir():
            parts[name] = path.read_text(encoding="utf-8").splitlines()
    return Division(parts[_TRAIN], parts[_VAL]) if len(parts) == 2 else None


def _lay_out(division: Division, videos: Path, output: Path, move: bool, console: Console) -> None:
    """Make the two folders; what is there already stays, so that the command can be repeated."""
    placed = {output / _TRAIN / name: videos / name for name in division.train}
    placed.update({output / _VAL / name: videos / name for name in division.val})
    _check_places(placed, output, move)
    for part in (_TRAIN, _VAL):
        (output / part).mkdir(exist_ok=True)
    with console.progress(len(placed), "videos") as progress:
        for target, source in placed.items():
            target.parent.mkdir(exist_ok=True)
            if not os.path.lexists(target) and move:
                shutil.move(str(source), str(target))
            elif not os.path.lexists(target):
                target.symlink_to(source.resolve())
            progress.advance()
    if move:
        for folder in {source.parent for source in placed.values()}:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    console.result(f"{output}: train and val of {'the moved' if move else 'links to the'} videos")


def _check_places(placed: Dict[Path, Path], output: Path, move: bool) -> None:
    """Refuse folders that hold anything else than this division, and videos that are gone."""
    for part in (_TRAIN, _VAL):
        for path in (output / part).glob("*/*"):
            if path not in placed:
                raise RequestError(
                    "is not of this division", path, "choose another OUTPUT, or remove its train and val"
                )
            if not move and (not path.is_symlink() or path.resolve() != placed[path].resolve()):
                raise RequestError(f"is no link to {placed[path]}", path, "choose another OUTPUT")
    for target, source in placed.items():
        if not os.path.lexists(target) and not source.exists():
            raise RequestError("is gone", source, f"{output} holds the lists of the division that was begun")


if __name__ == "__main__":
    sys.exit(main())
