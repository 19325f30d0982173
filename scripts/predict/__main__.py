"""Top-k labels of videos, straight from the files: decode, infer and score in one process, nothing on disk between.

python -m scripts.predict --model 3d_resnet_demo --compiled build/3d_resnet_demo/compiled/cpu-b10 clip.mp4 videos/
ffmpeg -i ADDRESS -f matroska - | python -m scripts.predict --model 3d_resnet --timeline -
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Iterator, List, Optional, Sequence, Tuple

from clip2om.pipeline.command import positive, run, stage_parser
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError

if TYPE_CHECKING:
    from clip2om.pipeline.card import Card
    from clip2om.pipeline.records import CompiledRecord
    from clip2om.scripts.predict.copy import Copies
    from clip2om.scripts.predict.scores import Prediction, ScoredClip
    from clip2om.scripts.predict.show import Show

_EXAMPLE = """python -m scripts.predict --model 3d_resnet --compiled build/3d_resnet/compiled/cpu-b10 clip.mp4 -k 5
  python -m scripts.predict --model 3d_resnet --timeline --save labelled videos/
  ffmpeg -i ADDRESS -f matroska - | python -m scripts.predict --model 3d_resnet --timeline --json -"""


def main(argv: Optional[List[str]] = None) -> int:
    """Run the script; see ``python -m scripts.predict --help``."""
    args = _parser().parse_args(argv)
    return run("predict", lambda: _predict(args))


def _parser() -> argparse.ArgumentParser:
    about = "Label videos with a compiled model. Exit 0 if at least one of them could be decoded."
    parser = stage_parser("scripts.predict", about, _EXAMPLE)
    add = parser.add_argument
    add(
        "videos",
        nargs="+",
        metavar="VIDEO",
        help="a video file, a folder of frames, a folder of either, or - for a video on standard input, labelled while "
        "it arrives (clip after clip, whatever the card's sampler)",
    )
    add("--compiled", metavar="DIR", help="folder of the compiled model (default: build/CARD/compiled/cpu-b<batch>)")
    add("-k", type=positive, default=5, metavar="K", help="labels per video (default: 5)")
    add("--labels", metavar="FILE", help="class names, one per line, or an annotation JSON (default: the card's)")
    add("--engine", default="auto", metavar="NAME", help="default: auto")
    add("--timeline", action="store_true", help="show each clip too, as soon as it is scored")
    add("--json", action="store_true", help="one JSON object per line instead of bars")
    add("--save", metavar="DIR", help="write a copy of each video there, labelled, as NAME.mp4")
    add("--font", metavar="FILE", help="TrueType font of the copies' labels (default: a built-in one, English alone)")
    return parser


def _predict(args: argparse.Namespace) -> int:
    from clip2om.infer.engines.base import Options
    from clip2om.pipeline import cards
    from clip2om.pipeline.places import build_folder
    from clip2om.pipeline.records import CompiledRecord, read_record
    from clip2om.scripts.predict.scores import Prediction, score
    from clip2om.scripts.predict.show import Show
    from clip2om.scripts.predict.sources import find_videos
    from clip2om.scripts.shared.opening import open_engine

    console = Console("predict", args.quiet)
    card = cards.load(args.model, args.set)
    default = build_folder(card.name) / "compiled" / f"cpu-b{card.input.batch}"
    folder = Path(args.compiled or default)
    record = read_record(folder / "model.json", CompiledRecord, "run make om, or pass --compiled DIR")
    _check_card(card, record, folder)
    _check_stream(args, card)
    show = Show(console, _labels(args.labels, card), args.k, card.scores.activation, args.timeline, args.json)
    predictions = [Prediction(video) for video in find_videos(args.videos, card)]
    # What stands in the way of the copies is told before the work, not after it.
    copies = _copies(args, predictions, show) if args.save else None
    # A stream is to be labelled while it runs: with one batch in flight its result is there when the next one is full.
    options = Options(requests=1 if _has_stream(args) else None)
    with open_engine(args.engine, folder, record, options, console) as engine:
        _collect(score(engine, card, record, predictions), predictions, show)
    if not any(prediction.clips for prediction in predictions):
        raise RequestError("none of the videos can be decoded", None, "the lines above say why")
    if copies is not None:
        for path in copies.write(predictions):
            console.say(f"wrote {path}")
    return 0


def _collect(scored: Iterator[Tuple[int, ScoredClip]], predictions: Sequence[Prediction], show: Show) -> None:
    """Show every clip as it comes, and every video once the next one has begun."""
    current = 0
    for owner, clip in scored:
        while current < owner:
            show.video(predictions[current])
            current += 1
        predictions[owner].clips.append(clip)
        show.clip(predictions[owner], clip)
    for prediction in predictions[current:]:
        show.video(prediction)


def _copies(args: argparse.Namespace, predictions: Sequence[Prediction], show: Show) -> Copies:
    from clip2om.scripts.predict.copy import plan_copies

    copies = plan_copies([item.video for item in predictions], Path(args.save), show.labels, show.activation, args.font)
    unknown = copies.unknown_sign()
    if unknown:
        show.console.warn(f"the font of the copies cannot write {unknown}; pass another one with --font FILE")
    return copies


def _has_stream(args: argparse.Namespace) -> bool:
    from clip2om.scripts.predict.sources import STREAM

    return STREAM in args.videos


def _check_stream(args: argparse.Namespace, card: Card) -> None:
    if not _has_stream(args):
        return
    if len(args.videos) > 1:
        raise RequestError("takes standard input alone", "-", "label files in a run of their own")
    if args.save:
        raise RequestError("a stream is gone once it is read, so there is no copy of it", "--save", "record it first")
    if card.input.of_videos:
        raise RequestError(
            f"a model of layout {card.input.layout} takes clips from all over a video, and a stream has no end",
            "-",
            "export it for single clips: input.layout=NCTHW",
        )


def _check_card(card: Card, record: CompiledRecord, folder: Path) -> None:
    """Refuse a model that takes other clips than the card makes.

    Raises:
        RequestError: naming both.
    """
    (model,) = record.inputs
    if (model.shape[1:], model.layout) != (card.input.shape, card.input.layout):
        mine = card.input_spec(record.batch, model.dtype)
        raise RequestError(
            f"takes {model} (card {record.card}), card {card.name} makes {mine}",
            folder / record.file,
            f"pass --model {record.card}",
        )


def _labels(path: Optional[str], card: Card) -> List[str]:
    from clip2om.pipeline.artifact import load_json
    from clip2om.pipeline.labels import check_distinct, read_labels

    labels: List[str]
    if path is None:
        labels = card.labels()
    elif path.endswith(".json"):
        content = load_json(path, "pass a file with one label per line")
        labels = content.get("labels", []) if isinstance(content, dict) else content
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise RequestError("holds no list of labels", path, "pass an annotation file, or one label per line")
    else:
        labels = read_labels(path)
    check_distinct(labels, "the list of labels", path or card.path)
    if len(labels) != card.model.classes:
        raise RequestError(
            f"{len(labels)} labels for {card.model.classes} classes", path or card.path, "pass --labels FILE"
        )
    return labels


if __name__ == "__main__":
    sys.exit(main())
