"""Render the demo dataset: small synthetic videos of eight motions, split into training and validation.

    python -m scripts.demo_dataset build/demo_data --subset validation

writes ``OUTPUT/videos/<label>/<id>.mp4`` and, last, ``OUTPUT/annotation.json``. A video depends on the seed and on its
id alone: not on the number of workers, of videos or on the subset asked for. The annotation lists both subsets,
whichever is rendered: batches from before the other one was stay those of the same annotation, and their runs can be
compared. A second run finds the dataset up to date.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

from clip2om.pipeline.command import Parser, positive, run
from clip2om.pipeline.console import Console
from clip2om.pipeline.facts import usable_cores

if TYPE_CHECKING:
    from clip2om.scripts.demo.motions import Video

_PROG = "python -m scripts.demo_dataset"
PER_CLASS = {"training": 96, "validation": 16}
_ANNOTATION = "annotation.json"
_RECORD = "demo_dataset.json"
_RECORD_VERSION = 1
# Rises when ids or pictures change, so that an older folder is rendered anew.
_GENERATOR = 1
# Real ids hold such characters (475 of HMDB51's 5,100 do): the first video of each class carries some of them.
_ODD = ("(1)", "[b]", "hey!", "no#3", "a&b", "c;d", "e+f", "g@h-i")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Render the dataset; see ``python -m scripts.demo_dataset --help``."""
    args = _parser().parse_args(argv)
    return run("demo_dataset", lambda: _render(args))


def _parser() -> Parser:
    parser = Parser(
        prog=_PROG,
        description="Render the synthetic demo dataset: eight motions, as real video files.",
        epilog=f"example:\n  {_PROG} build/demo_data --subset validation",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    counts = ", ".join(f"{count} for {subset}" for subset, count in PER_CLASS.items())
    add = parser.add_argument
    add("output", metavar="OUTPUT", help="folder of the dataset")
    add("--subset", choices=[*PER_CLASS, "all"], default="all", help="what to render (default: all)")
    add("--seed", type=int, default=1, help="seed of all random choices (default: 1)")
    add("--videos-per-class", type=positive, metavar="N", help=f"in each subset (default: {counts})")
    add("--workers", type=positive, default=usable_cores(), metavar="N", help="processes (default: one per core)")
    add("--quiet", action="store_true", help="only warnings and results")
    return parser


def _render(args: argparse.Namespace) -> int:
    from clip2om.pipeline.artifact import folder_lock

    listed = plan_videos(args.seed, {subset: args.videos_per_class or number for subset, number in PER_CLASS.items()})
    videos = [video for video in listed if args.subset in ("all", video.subset)]
    folder, console = Path(args.output), Console("demo_dataset", args.quiet)
    with folder_lock(folder):
        made = make_dataset(folder, videos, listed, args.seed, args.workers, console)
    frames = sum(video.frames for video in videos)
    state = f"{made} rendered" if made else "up to date"
    console.result(f"{folder / _ANNOTATION}: {len(videos)} videos, {frames} frames, {state}")
    return 0


def plan_videos(seed: int, per_class: Dict[str, int]) -> List[Video]:
    """Return the videos of a dataset: ``per_class[subset]`` of each label in each subset.

    Lengths are spread evenly over the logarithm of 12 to 200 frames, so that short videos are as frequent as long ones.
    """
    from clip2om.scripts.demo.motions import LABELS

    return [
        _plan_video(seed, subset, label, number)
        for subset, count in per_class.items()
        for label in LABELS
        for number in range(1, count + 1)
    ]


def _plan_video(seed: int, subset: str, label: str, number: int) -> Video:
    from clip2om.scripts.demo.motions import FRAMES, LABELS, SIZES, Video

    odd = f"{_ODD[LABELS.index(label)]}_" if number == 1 else ""
    name = f"{label}_{odd}{subset[:5]}_{number:04d}"
    own_seed = f"{_GENERATOR} {seed} {name}"
    chance = random.Random(own_seed)
    width, height = chance.choice(SIZES)
    frames = round(FRAMES[0] * (FRAMES[1] / FRAMES[0]) ** chance.random())
    return Video(name, label, subset, width, height, frames, own_seed)


def annotation(videos: Sequence[Video]) -> Dict[str, Any]:
    """Return the annotation of ``videos`` in the ActivityNet-style format that the preprocess stage reads."""
    from clip2om.scripts.demo.motions import LABELS

    database = {
        video.id: {
            "subset": video.subset,
            "annotations": {"label": video.label, "segment": [1, video.frames + 1]},
        }
        for video in videos
    }
    return {"labels": list(LABELS), "database": database}


def make_dataset(
    folder: Path, videos: Sequence[Video], listed: Sequence[Video], seed: int, workers: int, console: Console
) -> int:
    """Render what is missing of ``videos`` into ``folder`` and write the annotation of all that are ``listed``.

    Returns:
        The number of videos rendered; 0 means that nothing was out of date.
    """
    from clip2om.pipeline.artifact import write_text

    _drop_other_seeds(folder, seed)
    todo = [video for video in videos if not _path(folder, video).is_file()]
    _render_all(folder, todo, workers, console)
    text = json.dumps(annotation(listed), indent=1) + "\n"
    path = folder / _ANNOTATION
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        # Newer than this script, so that make does not call it again.
        path.touch()
    else:
        write_text(path, text)
    return len(todo)


def _render_all(folder: Path, todo: Sequence[Video], workers: int, console: Console) -> None:
    from clip2om.pipeline.artifact import remove_partials
    from clip2om.scripts.shared.parallel import each

    tasks = [(video, str(_path(folder, video))) for video in todo]
    for parent in {_path(folder, video).parent for video in todo}:
        remove_partials(parent)
    if tasks:
        console.say(f"rendering {len(tasks)} videos, {sum(video.frames for video in todo)} frames")
    with console.progress(len(tasks), "videos") as progress:
        for _ in each(_render_one, tasks, workers):
            progress.advance()


def _render_one(task: Tuple[Video, str]) -> None:
    from clip2om.pipeline.artifact import replacing
    from clip2om.scripts.demo.motions import encode

    video, path = task
    with replacing(path) as temporary:
        temporary.write_bytes(encode(video))


def _drop_other_seeds(folder: Path, seed: int) -> None:
    """Take away what an earlier run rendered from another seed or by another generator: the names are the same.

    The record changes last, so that a run killed in between is continued by the next one.
    """
    from clip2om.pipeline.artifact import read_json, write_json
    from clip2om.pipeline.errors import RequestError
    from clip2om.scripts.demo.motions import LABELS

    record, path = {"generator": _GENERATOR, "seed": seed}, folder / _RECORD
    try:
        if read_json(path, "demo_dataset", _RECORD_VERSION, "") == record:
            return
    except RequestError:
        pass
    (folder / _ANNOTATION).unlink(missing_ok=True)
    for label in LABELS:
        for stale in (folder / "videos" / label).glob(f"{label}_*_[0-9][0-9][0-9][0-9].mp4"):
            stale.unlink()
    write_json(path, "demo_dataset", _RECORD_VERSION, record)


def _path(folder: Path, video: Video) -> Path:
    return folder / "videos" / video.label / f"{video.id}.mp4"


if __name__ == "__main__":
    sys.exit(main())
