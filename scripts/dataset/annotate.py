"""Write the annotation files of data sets from the files they are published with, in the formats that cards name.

    python -m scripts.annotate hmdb51 testTrainMulti_7030_splits hmdb51/jpg hmdb51
    python -m scripts.annotate ucf101 ucfTrainTestlist UCF-101 ucf101
    python -m scripts.annotate kinetics kinetics_csv kinetics/jpg kinetics
    python -m scripts.annotate something sthv2/labels sthv2/20bn-something-something-v2 sthv2
    python -m scripts.annotate moments Moments_in_Time_Raw Moments_in_Time_Raw moments
    python -m scripts.annotate diving48 diving48/lists diving48/rgb diving48
    python -m scripts.annotate ucf101 ucfTrainTestlist ucf101/rawframes ucf101 --format rawframes

write hmdb51_1.json to hmdb51_3.json, ucf101_01.json to ucf101_03.json, kinetics_400.json, and lists such as
ucf101_val_split_1_rawframes.txt.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from clip2om.pipeline.command import Parser, count, positive, run, split_list
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.facts import usable_cores
from clip2om.pipeline.frame_names import FrameNames, frame_format
from clip2om.scripts.dataset import annotation_files
from clip2om.scripts.dataset.annotation_files import FORMATS, Counted
from clip2om.scripts.dataset.frame_counts import COMPAT_WORDS, COUNTERS, Answer, Question, count_frames
from clip2om.scripts.dataset.more_splits import read_diving48, read_moments, read_something
from clip2om.scripts.dataset.places import Places
from clip2om.scripts.dataset.split_files import Listed, Split, kinetics_sizes, read_hmdb51, read_kinetics, read_ucf101

_PROG = "python -m scripts.annotate"
_LISTED = 20
_SUBSETS = ("training", "validation", "testing")


@dataclass(frozen=True)
class Dataset:
    """How the splits of a dataset are read, which there are, and whether its recipe stops at a missing video.

    ``lists_classes``: a file of the classes is written too.
    """

    read: Callable[[Path, int], Split]
    splits: Callable[[Path], Sequence[int]]
    json_name: str
    stops: bool = True
    lists_classes: bool = False


_DATASETS = {
    "hmdb51": Dataset(read_hmdb51, lambda _: (1, 2, 3), "hmdb51_{}.json"),
    "ucf101": Dataset(read_ucf101, lambda _: (1, 2, 3), "ucf101_{:02d}.json"),
    "kinetics": Dataset(read_kinetics, kinetics_sizes, "kinetics_{}.json", stops=False),
    "something": Dataset(read_something, lambda _: (2,), "something_v{}.json", False, True),
    "moments": Dataset(read_moments, lambda _: (1,), "moments_{}.json", False, True),
    "diving48": Dataset(read_diving48, lambda _: (1,), "diving48_{}.json", False, True),
}
_EPILOG = f"""formats:
{chr(10).join(f"  {name:<12} {about.words}; frames {about.names.name(0)}" for name, about in FORMATS.items())}

A video that is not on disk, or whose frames have a gap, is reported. It stays in the JSON without a segment, so that it
counts as wrong in an accuracy, unless --leave-out drops it; a list has no place for it. Labels are in alphabetical
order (hmdb51), in that of classInd.txt (ucf101), of their first lines in train.csv (kinetics) or of the data set's own
numbers (something, moments, diving48, whose classes are written to <data set>_labels.txt too); lists count from 0.

example:
  {_PROG} hmdb51 testTrainMulti_7030_splits hmdb51/jpg hmdb51
  {_PROG} kinetics kinetics_csv kinetics/jpg kinetics --split 400
  {_PROG} ucf101 ucfTrainTestlist ucf101/rawframes ucf101 --format rawframes --split 1"""


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Write annotation files; see ``python -m scripts.annotate --help``."""
    args = _parser().parse_args(argv)
    return run("annotate", lambda: _annotate(args))


def _parser() -> Parser:
    parser = Parser(
        prog=_PROG,
        description="Write annotation files from the files that a data set is published with.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("dataset", choices=sorted(_DATASETS), help="whose split files these are")
    add("splits", metavar="SPLITS", help="folder of the split files")
    add("frames", metavar="FRAMES_OR_VIDEOS", help="DIR of DIR/<label>/<id>/image_%%05d.jpg, or of DIR/<label>/<file>")
    add("output", metavar="OUTPUT_DIR", help="folder for the annotation files")
    add("--format", choices=sorted(FORMATS), default="activitynet", help="default: activitynet, JSON")
    add("--frame-name", type=frame_format, metavar="FORMAT", help="names of frames (default: the format's, see below)")
    add("--first-frame", type=count, default=1, metavar="N", help="number of a video's first frame (default: 1)")
    add(
        "--frame-counter",
        choices=COUNTERS,
        default="auto",
        help="in frame folders, by decoding videos, or by their packets; auto: the folder where it exists, else decode",
    )
    add("--split", metavar="LIST", help="splits to write (default: 1,2,3; kinetics: 400, 600, 700, as there are)")
    add("--shuffle", type=count, metavar="SEED", help="lines of a list in a random order of this seed")
    add("--compat", action="store_true", help="count frames and cut ids as a recipe does, flaws included")
    add("--recipe", choices=sorted(COMPAT_WORDS), default="3d_resnet", help="whose flaws (default: 3d_resnet)")
    add("--leave-out", action="store_true", help="leave videos out that cannot be counted")
    add("--strict", action="store_true", help="write nothing and exit with 2 if a video cannot be counted")
    add("--workers", type=positive, default=usable_cores(), metavar="N", help="processes (default: one per core)")
    add("--quiet", action="store_true", help="only warnings and results")
    return parser


def _annotate(args: argparse.Namespace) -> int:
    console = Console("annotate", args.quiet)
    dataset = _DATASETS[args.dataset]
    if args.shuffle is not None and args.format == "activitynet":
        raise RequestError("goes with --format rawframes or list", "--shuffle")
    args.names = FrameNames(args.frame_name or FORMATS[args.format].names.format, args.first_frame)
    numbers = _split_numbers(args.split, dataset.splits(Path(args.splits)))
    splits = {number: dataset.read(Path(args.splits), number) for number in numbers}
    if not Path(args.frames).is_dir():
        raise RequestError("no such folder", args.frames, "check FRAMES_OR_VIDEOS")
    args.places = Places(args.frames)
    answers = _count_all([video for split in splits.values() for video in split.videos], args, console)
    _report(answers, args, console)
    # Nothing is written before every split is known to be sound.
    ready = [(number, split, _counted(split, answers, args)) for number, split in splits.items()]
    for number, split, videos in ready:
        _write(number, split, videos, args, console)
    return 0


def _write(number: int, split: Split, videos: List[Counted], args: argparse.Namespace, console: Console) -> None:
    from clip2om.pipeline.artifact import write_text

    folder, classes = Path(args.output), f"{len(split.labels)} classes"
    if _DATASETS[args.dataset].lists_classes:
        write_text(folder / f"{args.dataset}_labels.txt", "".join(f"{label}\n" for label in split.labels))
    if args.format == "activitynet":
        path = folder / _DATASETS[args.dataset].json_name.format(number)
        write_text(path, annotation_files.activitynet(split.labels, videos))
        subsets = [video.subset for video in videos]
        shown = [name for name in _SUBSETS if name != "testing" or name in subsets]
        console.result(f"{path}: {classes}, {', '.join(f'{subsets.count(name)} {name}' for name in shown)}")
        return
    texts = annotation_files.lines(args.format, split.labels, videos, args.frames, args.shuffle)
    ending = "_rawframes.txt" if args.format == "rawframes" else ".list"
    for subset, text in texts.items():
        path = folder / f"{args.dataset}_{subset}_split_{number}{ending}"
        write_text(path, text)
        console.result(f"{path}: {classes}, {len(text.splitlines())} videos")
    blanks = sum(" " in f"{video.folder}/{video.id}" for video in videos)
    if blanks:
        console.warn(f"{blanks} names hold blanks: this project reads such lists, the recipe's own scripts do not")


def video_id(file: str, compat: bool) -> str:
    """Return the id of a video: its name without the extension, or with ``compat`` up to the first dot."""
    return file.split(".")[0] if compat else Path(file).stem


def _question(video: Listed, args: argparse.Namespace) -> Question:
    place = args.places.find(video, video_id(video.file, args.compat))
    compat = args.recipe if args.compat else ""
    return Question(place.frames, place.video, args.frame_counter, compat, args.names)


def _count_all(videos: Sequence[Listed], args: argparse.Namespace, console: Console) -> Dict[Question, Answer]:
    from clip2om.scripts.shared.parallel import each

    # The splits list the same videos again and again: each is counted once.
    questions = list(dict.fromkeys(_question(video, args) for video in videos))
    if not questions:
        raise RequestError("lists no video", args.splits)
    # Listing folders is too little work for processes of their own.
    workers = args.workers if any(Path(question.video).is_file() for question in questions) else 1
    answers = {}
    with console.progress(len(questions), "videos") as progress:
        for question, answer in each(count_frames, questions, workers):
            answers[question] = answer
            progress.advance()
    return answers


def _report(answers: Dict[Question, Answer], args: argparse.Namespace, console: Console) -> None:
    problems: List[str] = sorted(answer.problem for answer in answers.values() if answer.problem)
    for problem in problems[:_LISTED]:
        console.warn(problem)
    if len(problems) > _LISTED:
        console.warn(f"and {len(problems) - _LISTED} more")
    if not problems:
        return
    counted = f"{len(problems)} of {len(answers)} videos cannot be counted"
    stops = args.compat and _DATASETS[args.dataset].stops
    if stops or args.strict or len(problems) == len(answers):
        raise RequestError(counted, args.frames, f"first: {problems[0]}")
    out = args.leave_out or args.format != "activitynet"
    console.warn(f"{counted} and {'are left out' if out else 'stay in without a segment'}")


def _counted(split: Split, answers: Dict[Question, Answer], args: argparse.Namespace) -> List[Counted]:
    """Return the videos: training first, then validation and testing, each by label and file name.

    Raises:
        RequestError: two videos of one id, which a JSON file cannot hold, or one video twice in a list.
    """
    classes: Dict[Optional[str], int] = {label: number for number, label in enumerate(split.labels)}
    order = sorted(
        split.videos, key=lambda video: (_SUBSETS.index(video.subset), classes.get(video.label, -1), video.file)
    )
    counted: Dict[Tuple[str, ...], Counted] = {}
    for video in order:
        name, answer = video_id(video.file, args.compat), answers[_question(video, args)]
        key = (name,) if args.format == "activitynet" else (video.folder, name)
        if key in counted and not args.compat:
            raise RequestError(f"two videos have the id {name!r}", args.splits, "rename one of them, or strike one out")
        if answer.problem and args.leave_out:
            continue
        frames = None if answer.problem else answer.frames
        inside = args.places.find(video, name).inside
        counted[key] = Counted(name, video.label, video.subset, video.folder, frames, inside)
    return list(counted.values())


def _split_numbers(text: Optional[str], there: Sequence[int]) -> List[int]:
    words = [str(number) for number in there] if text is None else split_list(text)
    known = {str(number) for number in there}
    if not words or not set(words) <= known:
        raise RequestError(f"--split is {text!r}", None, f"choose from {', '.join(map(str, there))}")
    return [int(word) for word in dict.fromkeys(words)]


if __name__ == "__main__":
    sys.exit(main())
