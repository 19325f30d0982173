"""Top-k labels of videos, straight from the files: decode, infer and score in one process, nothing on disk between.

python -m scripts.predict --model 3d_resnet_demo --compiled build/3d_resnet_demo/compiled/cpu-b10 clip.mp4 videos/
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Iterator, List, Optional, Tuple

from pipeline.command import positive, run, stage_parser
from pipeline.console import Console
from pipeline.errors import RequestError

if TYPE_CHECKING:
    import numpy as np

    from pipeline.card import Card
    from pipeline.records import CompiledRecord
    from pipeline.tensor import TensorSpec
    from preprocess.sampling import Sampler
    from preprocess.sources import Source

_EXAMPLE = "python -m scripts.predict --model 3d_resnet --compiled build/3d_resnet/compiled/cpu-b10 clip.mp4 -k 5"
_BAR = 20


@dataclass
class Prediction:
    """One video: logits per clip as they arrive, or the reason why there are none."""

    path: str
    logits: List[np.ndarray] = field(default_factory=list)
    reason: Optional[str] = None


def main(argv: Optional[List[str]] = None) -> int:
    """Run the script; see ``python -m scripts.predict --help``."""
    args = _parser().parse_args(argv)
    return run("predict", lambda: _predict(args))


def _parser() -> argparse.ArgumentParser:
    about = "Label videos with a compiled model. Exit 0 if at least one of them could be decoded."
    parser = stage_parser("scripts.predict", about, _EXAMPLE)
    add = parser.add_argument
    add("videos", nargs="+", metavar="VIDEO", help="a video file, a folder of frames, or a folder of either")
    add("--compiled", metavar="DIR", help="folder of the compiled model (default: build/CARD/compiled/cpu-b<batch>)")
    add("-k", type=positive, default=5, metavar="K", help="labels per video (default: 5)")
    add("--labels", metavar="FILE", help="class names, one per line, or an annotation JSON (default: the card's)")
    add("--engine", default="auto", metavar="NAME", help="default: auto")
    add("--json", action="store_true", help="one JSON object per video instead of bars")
    return parser


def _predict(args: argparse.Namespace) -> int:
    from pipeline import card as cards
    from pipeline.records import CompiledRecord, read_record

    console = Console("predict", args.quiet)
    card = cards.load(args.model, args.set)
    default = cards.ROOT / "build" / card.name / "compiled" / f"cpu-b{card.input.batch}"
    folder = Path(args.compiled or default)
    record = read_record(folder / "model.json", CompiledRecord, "run make om, or pass --compiled DIR")
    _check_card(card, record, folder)
    labels = _labels(args.labels, card)
    sources = [found for path in args.videos for found in _sources(Path(path), card)]
    predictions = _infer(card, folder, record, sources, args.engine, console)
    for prediction in predictions:
        _show(prediction, labels, card, args, console)
    if not any(prediction.logits for prediction in predictions):
        raise RequestError("none of the videos can be decoded", None, "the lines above say why")
    return 0


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
    from pipeline.artifact import load_json

    labels: List[str]
    if path is None:
        labels = card.labels()
    elif path.endswith(".json"):
        content = load_json(path, "pass a file with one label per line")
        labels = content.get("labels", []) if isinstance(content, dict) else content
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise RequestError("holds no list of labels", path, "pass an annotation file, or one label per line")
    elif Path(path).is_file():
        labels = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    else:
        raise RequestError("no such file", path, "pass --labels FILE with one class name per line")
    if len(labels) != card.model.classes:
        raise RequestError(
            f"{len(labels)} labels for {card.model.classes} classes", path or card.path, "pass --labels FILE"
        )
    return labels


def _sources(path: Path, card: Card) -> Iterator[Tuple[str, Source]]:
    """Yield (name, source) for a video file, a folder of frames, or each of either in a folder.

    Raises:
        RequestError: there is no video at ``path``.
    """
    from preprocess.sources import Source, is_video

    frame_name, first = card.dataset.frame_name, card.dataset.first_frame
    if path.is_file():
        yield str(path), Source("video", str(path), frame_name, first)
        return
    if (path / frame_name.format(first)).is_file():
        yield str(path), Source("frames", str(path), frame_name, first)
        return
    inside = sorted(path.iterdir()) if path.is_dir() else []
    usable = [item for item in inside if is_video(item.name) or (item / frame_name.format(first)).is_file()]
    if not usable:
        raise RequestError("is no video and no folder of videos", path, "pass video files or folders of them")
    for item in usable:
        yield from _sources(item, card)


def _infer(
    card: Card,
    folder: Path,
    record: CompiledRecord,
    sources: List[Tuple[str, Source]],
    engine_name: str,
    console: Console,
) -> List[Prediction]:
    from infer.engines.base import Options
    from scripts.opening import open_engine

    predictions = [Prediction(name) for name, _ in sources]
    owners: List[List[int]] = []
    with open_engine(engine_name, folder, record, Options(), console) as engine:
        feeds = _feeds(card, record, [source for _, source in sources], predictions, owners)
        for number, result in enumerate(engine.infer(feeds)):
            # One row per clip, or per video where the graph averages its clips.
            rows = result.outputs[0].reshape(-1, result.outputs[0].shape[-1])
            step = record.inputs[0].with_batch(record.batch).clips // len(rows)
            for row, owner in zip(rows, owners[number][::step]):
                predictions[owner].logits.append(row)
    return predictions


def _feeds(
    card: Card, record: CompiledRecord, sources: List[Source], predictions: List[Prediction], owners: List[List[int]]
) -> Iterator[np.ndarray]:
    """Yield full batches; ``owners`` gets the video of each clip slot that is used."""
    import numpy as np

    from preprocess.sampling import Sampler

    (spec,) = record.inputs
    batch = spec.with_batch(record.batch)
    sampler = Sampler(card.clips, card.dataset.frame_name)
    feed = np.zeros(batch.shape, batch.dtype)
    owned: List[int] = []
    for owner, source in enumerate(sources):
        for clip in _clips(card, source, batch, sampler, predictions[owner]):
            feed.reshape(batch.clips, *clip.shape)[len(owned)] = clip
            owned.append(owner)
            if len(owned) == batch.clips:
                owners.append(owned)
                yield feed
                feed, owned = np.zeros(batch.shape, batch.dtype), []
    if owned:
        owners.append(owned)
        yield feed


def _clips(
    card: Card, source: Source, tensor: TensorSpec, sampler: Sampler, prediction: Prediction
) -> Iterator[np.ndarray]:
    from preprocess.errors import BadVideoError
    from preprocess.sources import index_frames
    from preprocess.worker import iter_clips, recipe_of

    recipe = recipe_of(card, tensor)
    first = source.first_frame
    try:
        clips = sampler.clips(first, first + index_frames(source, None).count)
        made = iter_clips(source, clips, recipe)
        # An item of several clips is one video's or nobody's.
        for _, clip in sorted(made, key=lambda pair: pair[0]) if "K" in tensor.layout else made:
            yield clip
    except BadVideoError as reason:
        # The clips before the damage are scored all the same: a person asked for this very file.
        prediction.reason = str(reason)


def _show(prediction: Prediction, labels: List[str], card: Card, args: argparse.Namespace, console: Console) -> None:
    import numpy as np

    from postprocess.metrics import best, video_scores

    if prediction.reason:
        console.warn(f"{prediction.path}: {prediction.reason}")
    top: List[Dict[str, object]] = []
    if prediction.logits:
        clips = np.stack(prediction.logits).astype(np.float32)
        scores = video_scores(clips, np.array([len(clips)]), card.scores.activation)
        top = [{"label": labels[index], "score": float(scores[0, index])} for index in best(scores, args.k)[0]]
    if args.json:
        line = {"video": prediction.path, "clips": len(prediction.logits), "top": top, "problem": prediction.reason}
        console.result(json.dumps(line, ensure_ascii=False))
        return
    console.result(f"{prediction.path} ({len(prediction.logits)} clips)")
    for item in top:
        score = float(str(item["score"]))
        console.result(f"  {'#' * round(score * _BAR):{_BAR}}  {score:6.3f}  {item['label']}")


if __name__ == "__main__":
    sys.exit(main())
