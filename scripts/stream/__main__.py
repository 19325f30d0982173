"""From videos to val.json without a batch on the disk: decoding feeds the engine through shared memory.

python -m scripts.stream --model 3d_resnet --compiled build/3d_resnet/compiled/cpu-b10

Leaves what the stages leave one after the other, the batches apart: manifest, scores, summary, val.json and
accuracy.json, with the same contents. A run that was interrupted goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

from clip2om.pipeline.command import count, fraction, positive, run, stage_parser
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError

if TYPE_CHECKING:
    from clip2om.infer.engines.base import Options
    from clip2om.pipeline.card import Card
    from clip2om.pipeline.records import CompiledRecord
    from clip2om.preprocess.plan import Plan

_LISTED = 20
_DTYPES = ("float32", "uint8")
_EXAMPLE = "python -m scripts.stream --model 3d_resnet --video-path videos --annotation-path hmdb51_1.json -k 5"


def main(argv: Optional[List[str]] = None) -> int:
    """Run the script; see ``python -m scripts.stream --help``."""
    args = _parser().parse_args(argv)
    return run("stream", lambda: _stream(args))


def _parser() -> argparse.ArgumentParser:
    about = "Decode, infer and score a dataset in one go, with nothing but the scores on the disk."
    parser = stage_parser("scripts.stream", about, _EXAMPLE)
    add = parser.add_argument
    add("--compiled", metavar="DIR", help="folder of the compiled model (default: build/CARD/compiled/SOC-bN)")
    add("--soc", default="auto", metavar="SOC", help="chooses the default folders: cpu, Ascend310P3, ... or auto")
    add("--batch", type=positive, metavar="N", help="chooses the default folders, or one of the model's batch sizes")
    add("--output", metavar="DIR", help="batches/, scores/ and results/ are in it (default: build/CARD/stream/SOC-bN)")
    add("--video-path", metavar="DIR", help="as for python -m preprocess (default: the card's)")
    add("--annotation-path", metavar="FILE", help="as for python -m preprocess (default: the card's)")
    add("--subset", metavar="NAME", help="training, validation or testing (default: the card's)")
    add("--max-clips", type=count, metavar="N", help="keep the first N clips of a video (default: the card's)")
    add(
        "--views", type=positive, default=0, metavar="N", help="N views of a video, always the same ones (default: all)"
    )
    add("--limit", type=count, default=0, metavar="N", help="N videos, spread over the classes, always the same ones")
    add("--strict", action="store_true", help="stop at the first video that cannot be used instead of skipping it")
    add("--workers", type=positive, metavar="N", help="processes that decode (default: one per core)")
    add("--engine", default="auto", metavar="NAME", help="openvino, onnxruntime, mindspore, acl or auto (default)")
    add("--precision", choices=("f32", "bf16", "int8"), help="of the arithmetic (default: the model's own)")
    add("--streams", type=positive, metavar="N", help="batches computed at the same time (default: the engine's)")
    add("--requests", type=positive, metavar="N", help="batches in flight (default: the engine's)")
    add("--warmup", type=count, default=1, metavar="N", help="batches per request before the clock starts (default: 1)")
    add("--force", action="store_true", help="do again what is done")
    add("-k", type=positive, default=1, help="classes per video, and the k of --min-accuracy (default: 1)")
    add("--ignore", action="store_true", help="leave videos without scores out; they count as wrong otherwise")
    add("--min-accuracy", type=fraction, metavar="X", help="exit 1 if top-K falls short of X (0 to 1)")
    return parser


def _stream(args: argparse.Namespace) -> int:
    from clip2om.infer.engines.base import Options, arithmetic
    from clip2om.infer.job import read_model
    from clip2om.pipeline import cards, run_names, soc
    from clip2om.pipeline.artifact import folder_lock
    from clip2om.pipeline.places import build_folder

    console = Console("stream", args.quiet)
    card = cards.load(args.model, args.set)
    home = build_folder(card.name)
    target, batch = soc.resolve(args.soc), args.batch or card.input.batch
    name = run_names.compiled_name(target, batch, int8=args.precision == "int8")
    scored = run_names.scored_name(name, args.precision, args.engine)
    compiled, output = Path(args.compiled or home / "compiled" / name), Path(args.output or home / "stream" / scored)
    record = read_model(compiled)
    options = Options(arithmetic(args.precision, record, compiled), args.streams, args.requests)
    plan = _plan(args, card, record, compiled)
    _announce(plan, card, console)
    for note in plan.notes[:_LISTED]:
        console.warn(note)
    with folder_lock(output):
        _carry_out(args, card, plan, compiled, record, options, output, console)
    return _count(args, output)


def _plan(args: argparse.Namespace, card: Card, record: CompiledRecord, compiled: Path) -> Plan:
    """Plan the batches that preprocess would make for this model.

    Raises:
        RequestError: there is no dataset or no usable video, the model does not take what the card makes, or it lacks a
            label: counting, the last thing that a stream does, would refuse that.
    """
    from clip2om.pipeline.tensor import check_feed
    from clip2om.postprocess.scores import classes_of
    from clip2om.preprocess.annotations import find_annotation, limited, read_annotation
    from clip2om.preprocess.plan import Options, make_plan

    path = find_annotation(card, args.annotation_path, args.video_path, args.subset)
    annotation = read_annotation(card, path, args.subset or card.dataset.subset)
    own = path if card.dataset.format == "folders" else str(card.resolve(card.dataset.videos))
    videos = args.video_path or own
    if not Path(videos).is_dir():
        raise RequestError("no such folder", videos, "pass --video-path DIR with the frames or videos of the dataset")
    if record.inputs[0].dtype not in _DTYPES:
        raise RequestError(
            f"takes {record.inputs[0]}, clips are made as {' or '.join(_DTYPES)}", compiled / record.file
        )
    options = Options(
        video_path=videos,
        layout="packed",
        batch=args.batch or record.batch,
        dtype=record.inputs[0].dtype,
        max_clips=card.clips.max_clips if args.max_clips is None else args.max_clips,
        file_names="safe",
        views=args.views,
    )
    check_feed(
        record.inputs[0], card.input_spec(options.batch, options.dtype), compiled / record.file, f"card {card.name}"
    )
    if record.gears and options.batch not in record.gears:
        sizes = ", ".join(map(str, record.gears))
        raise RequestError(
            f"was compiled for batches of {sizes}, not {options.batch}", compiled, "pass another --batch"
        )
    asked = limited(annotation, args.limit)
    names, ids = [entry.label for entry in asked.entries], [entry.id for entry in asked.entries]
    classes_of(names, ids, card.labels() or asked.labels, path)
    plan = make_plan(card, asked, options)
    if plan.skipped and (args.strict or not plan.videos):
        first = plan.skipped[0]
        todo = "leave out --strict to skip such videos" if plan.videos else "check --video-path"
        some = f"{len(plan.skipped)} of {len(annotation.entries)} videos cannot be used"
        raise RequestError(f"video {first.id!r}: {first.reason} ({some})", path, todo)
    return plan


def _announce(plan: Plan, card: Card, console: Console) -> None:
    from clip2om.pipeline.card_views import crop_names
    from clip2om.preprocess.forecast import forecast

    subset = plan.annotation.subset
    console.say(
        f"{len(plan.videos)} of {len(plan.annotation.entries)} videos ({subset}), {plan.clips} clips, "
        f"{len(plan.files)} batches of {plan.tensor}"
    )
    console.say(f"work: {forecast(plan, len(crop_names(card.transform)))}")


def _carry_out(
    args: argparse.Namespace,
    card: Card,
    plan: Plan,
    compiled: Path,
    record: CompiledRecord,
    options: Options,
    output: Path,
    console: Console,
) -> None:
    from clip2om.infer.engines.select import choose
    from clip2om.infer.engines.tool import Tool
    from clip2om.scripts.stream.results import Model, Results
    from clip2om.scripts.stream.run import stream

    first = choose(args.engine, record, compiled)[0]
    if issubclass(first.engine, Tool):
        raise RequestError(f"the {first.engine.name} engine takes folders, not single batches", "--engine", "use acl")
    model = Model(compiled, record)
    engine = first.engine(compiled, record, options)
    if not args.force and Results(output, card, plan, model, engine, fresh=False).is_whole():
        console.say(f"up to date: {output}")
        return
    stream(args, card, plan, model, options, output, console)


def _count(args: argparse.Namespace, output: Path) -> int:
    """Run the postprocess stage over what the stream left."""
    from clip2om.postprocess.__main__ import main as postprocess
    from clip2om.scripts.stream.results import BATCHES, RESULTS, SCORES

    words = ["--model", args.model, *(word for entry in args.set for word in ("--set", entry)), "-k", str(args.k)]
    for option, name in (("batches", BATCHES), ("scores", SCORES), ("output", RESULTS)):
        words += [f"--{option}", str(output / name)]
    words += ["--max-clips", str(args.max_clips)] if args.max_clips else []
    words += ["--ignore"] if args.ignore else []
    words += ["--min-accuracy", str(args.min_accuracy)] if args.min_accuracy is not None else []
    return postprocess([*words, *(["--quiet"] if args.quiet else [])])


if __name__ == "__main__":
    sys.exit(main())
