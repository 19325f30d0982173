"""Write the annotation files of HMDB51 and UCF101 from their split files, in the format that preprocess reads.

    python -m scripts.annotate hmdb51 testTrainMulti_7030_splits hmdb51/jpg hmdb51
    python -m scripts.annotate ucf101 ucfTrainTestlist UCF-101 ucf101

write hmdb51_1.json to hmdb51_3.json, and ucf101_01.json to ucf101_03.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from pipeline.command import Parser, positive, run, split_list
from pipeline.console import Console
from pipeline.errors import RequestError
from pipeline.facts import usable_cores
from scripts.frame_counts import COUNTERS, Answer, Question, count_frames
from scripts.split_files import Listed, Split, read_hmdb51, read_ucf101

_PROG = "python -m scripts.annotate"
_DATASETS = {"hmdb51": (read_hmdb51, "hmdb51_{}.json"), "ucf101": (read_ucf101, "ucf101_{:02d}.json")}
_SPLITS = ("1", "2", "3")
_LISTED = 20
_EPILOG = f"""example:
  {_PROG} hmdb51 testTrainMulti_7030_splits hmdb51/jpg hmdb51

A video that is not on disk, or whose frames have a gap, is reported. It stays in the annotation without a segment, so
that it counts as wrong in an accuracy, unless --leave-out drops it."""


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Write annotation files; see ``python -m scripts.annotate --help``."""
    args = _parser().parse_args(argv)
    return run("annotate", lambda: _annotate(args))


def _parser() -> Parser:
    parser = Parser(
        prog=_PROG,
        description="Write annotation JSON from the split files of HMDB51 or UCF101.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("dataset", choices=sorted(_DATASETS), help="whose split files these are")
    add("splits", metavar="SPLITS", help="folder of the split files")
    add("frames", metavar="FRAMES_OR_VIDEOS", help="DIR of DIR/<label>/<id>/image_%%05d.jpg, or of DIR/<label>/<file>")
    add("output", metavar="OUTPUT_DIR", help="folder for the JSON files")
    add(
        "--frame-counter",
        choices=COUNTERS,
        default="auto",
        help="in frame folders, by decoding videos, or by their packets; auto: the folder where it exists, else decode",
    )
    add("--split", default=",".join(_SPLITS), metavar="LIST", help="splits to write (default: 1,2,3)")
    add("--compat", action="store_true", help="count frames and cut ids as the 3d_resnet recipe does, flaws included")
    add("--leave-out", action="store_true", help="leave videos out that cannot be counted")
    add("--strict", action="store_true", help="write nothing and exit with 2 if a video cannot be counted")
    add("--workers", type=positive, default=usable_cores(), metavar="N", help="processes (default: one per core)")
    add("--quiet", action="store_true", help="only warnings and results")
    return parser


def _annotate(args: argparse.Namespace) -> int:
    from pipeline.artifact import write_text

    console = Console("annotate", args.quiet)
    read, name = _DATASETS[args.dataset]
    splits = {number: read(Path(args.splits), number) for number in _split_numbers(args.split)}
    if not Path(args.frames).is_dir():
        raise RequestError("no such folder", args.frames, "check FRAMES_OR_VIDEOS")
    answers = _count_all([video for split in splits.values() for video in split.videos], args, console)
    _report(answers, args, console)
    for number, split in splits.items():
        database = _database(split, answers, args)
        path = Path(args.output) / name.format(number)
        write_text(path, json.dumps({"labels": split.labels, "database": database}, ensure_ascii=False) + "\n")
        subsets = [entry["subset"] for entry in database.values()]
        counts = f"{subsets.count('training')} training, {subsets.count('validation')} validation"
        console.result(f"{path}: {len(split.labels)} classes, {counts}")
    return 0


def video_id(file: str, compat: bool) -> str:
    """Return the id of a video: its name without the extension, or with ``compat`` up to the first dot."""
    return file.split(".")[0] if compat else Path(file).stem


def _question(video: Listed, args: argparse.Namespace) -> Question:
    folder = Path(args.frames) / video.label
    return Question(
        str(folder / video_id(video.file, args.compat)), str(folder / video.file), args.frame_counter, args.compat
    )


def _count_all(videos: Sequence[Listed], args: argparse.Namespace, console: Console) -> Dict[Question, Answer]:
    from scripts.parallel import each

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
    if args.compat or args.strict or len(problems) == len(answers):
        raise RequestError(counted, args.frames, f"first: {problems[0]}")
    console.warn(f"{counted} and {'are left out' if args.leave_out else 'stay in without a segment'}")


def _database(split: Split, answers: Dict[Question, Answer], args: argparse.Namespace) -> Dict[str, Any]:
    """Return the entries: training first, then by label and id; frames count from 1, a segment's end is exclusive."""
    order = sorted(split.videos, key=lambda video: (video.subset, split.labels.index(video.label), video.file))
    database: Dict[str, Any] = {}
    for video in order:
        name, answer = video_id(video.file, args.compat), answers[_question(video, args)]
        if name in database and not args.compat:
            raise RequestError(f"two videos have the id {name!r}", args.splits, "rename one of them")
        if answer.problem and args.leave_out:
            continue
        segment = {} if answer.problem else {"segment": [1, answer.frames + 1]}
        database[name] = {"subset": video.subset, "annotations": {"label": video.label, **segment}}
    return database


def _split_numbers(text: str) -> List[int]:
    words = split_list(text)
    if not words or not set(words) <= set(_SPLITS):
        raise RequestError(f"--split is {text!r}", None, f"choose from {', '.join(_SPLITS)}")
    return [int(word) for word in dict.fromkeys(words)]


if __name__ == "__main__":
    sys.exit(main())
