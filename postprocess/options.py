"""The options of the stage, and which of them contradict each other."""

from __future__ import annotations

import argparse
from typing import Optional

from clip2om.pipeline import command

_EXAMPLE = """python -m postprocess --model 3d_resnet --batches build/3d_resnet/batches --scores RUN -k 5
  python -m postprocess --from-scores build/3d_resnet/results/scores.npz -k 3
  python -m postprocess evaluate hmdb51_1.json val.json -k 1     (the 3d_resnet recipe's eval_accuracy)

result folders that the recipes' own scripts left:
  python -m postprocess --info hmdb51.info --annotation-path hmdb51_1.json --scores RESULT_DIR
  python -m postprocess --model CARD --rawframe-list ucf101_val_split_1_rawframes.txt --scores RESULT_DIR
  python -m postprocess --model CARD --label-json label.json --targets targets.json --annotation-path hmdb51_1.json \\
      --scores result_Files
  python -m postprocess --model CARD --labelled-names --scores result_Files

the figures as the recipes count them:
  c3d_mmaction        --ties last --ignore
  c3d_paddle          --mean-class union
  c3d_tf              --first-videos 60   or   --batch-accuracy 16
  resnet3d_mindspore  --activation none, as its graph ends with a softmax
  r2plus1d_mindspore  --activation naive-softmax
  3d_resnet           --max-clips 10"""
# Each of these says what was given to the runner.
SOURCES = ("batches", "info", "rawframe_list", "label_json", "labelled_names", "from_scores")


def stage_parser() -> command.Parser:
    """Return the parser of ``python -m postprocess``."""
    parser = command.stage_parser("postprocess", "Scores of clips to val.json, accuracy.json and scores.npz.", _EXAMPLE)
    add = parser.add_argument
    add("--batches", metavar="DIR", help="folder with manifest.json (default: build/<card>/batches)")
    add("--scores", metavar="DIR", help="result files of any runner: one run, or its parent (build/<card>/scores)")
    add("--output", metavar="DIR", help="default: build/<card>/results, or the folder of --from-scores")
    add("--from-scores", metavar="FILE", help="compute the figures again from a scores.npz, without the score folder")
    add("--annotation-path", metavar="FILE", help="ground truth (default: labels and ids of the batches)")
    add("--subset", metavar="NAME", help="subset of --annotation-path (default: that of the batches)")
    add("--output-dtype", choices=("float32", "float16"), help="of BIN files (default: recorded, or by their size)")
    add("--min-accuracy", type=command.fraction, metavar="X", help="exit 1 if top-K falls short of X (0 to 1)")
    _add_recipes(parser.add_argument_group("instead of --batches: results of the recipes' own scripts"))
    _add_rules(parser.add_argument_group("how scores are counted"))
    return parser


def _add_recipes(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--info", metavar="FILE", help="3d_resnet: its .info file, with --annotation-path; files <video>_0.bin")
    add(
        "--rawframe-list",
        metavar="FILE",
        help="c3d_mmaction: its list '<class>/<video> <frames> <label>'; files <video>_0.txt or .bin",
    )
    add("--label-json", metavar="FILE", help="resnet3d_mindspore: label.json, with --targets and --annotation-path")
    add("--targets", metavar="FILE", help="resnet3d_mindspore: targets.json, with --label-json")
    add("--labelled-names", action="store_true", help="r2plus1d_mindspore: files <class number>_<class><video>_0.bin")


def _add_rules(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("-k", type=command.positive, default=1, help="classes per video, and the k of --min-accuracy (default: 1)")
    add("--ignore", action="store_true", help="leave videos without scores out; they count as wrong otherwise")
    add("--max-clips", type=command.count, default=0, metavar="N", help="use the first N clips of a video (0: all)")
    add(
        "--activation",
        choices=("softmax", "none", "naive-softmax"),
        help="per clip, before the mean (default: the card's); naive-softmax: float32, without subtracting the maximum",
    )
    add(
        "--averaging",
        choices=("mean", "largest", "votes"),
        help="over the clips of a video, after the activation (default: the card's)",
    )
    add(
        "--ties", choices=("first", "last"), default="first", help="class that wins among equal scores (default: first)"
    )
    add(
        "--mean-class",
        choices=("labelled", "union"),
        default="labelled",
        help="mean over the classes of the labels (default), or of labels and predictions together",
    )
    add("--first-videos", type=command.positive, default=0, metavar="N", help="count the first N scored videos alone")
    add(
        "--batch-accuracy",
        type=command.positive,
        default=0,
        metavar="N",
        help="also the mean of the top-1 accuracies of full batches of N videos, the rest dropped",
    )


def evaluate_parser() -> command.Parser:
    """Return the parser of ``python -m postprocess evaluate``."""
    parser = command.Parser(
        prog="python -m postprocess evaluate",
        description="Accuracy of a val.json by the rules of the 3d_resnet recipe.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("annotation", metavar="ANNOTATION", help="ActivityNet-style JSON with 'labels' and 'database'")
    add("val_json", metavar="VAL_JSON", help="results as python -m postprocess or the recipe writes them")
    add("-k", type=command.positive, default=1, help="entries of a video that may hold its class (default: 1)")
    add("--subset", default="validation", metavar="NAME", help="default: validation")
    add("--ignore", action="store_true", help="leave videos without a result out; they count as wrong otherwise")
    add("--save", action="store_true", help="write the number to top<K>.txt beside VAL_JSON")
    return parser


def conflict(options: argparse.Namespace) -> Optional[str]:
    """Return what is wrong with the options as a whole, None where nothing is."""
    given = [f"--{name.replace('_', '-')}" for name in SOURCES if getattr(options, name)]
    if options.from_scores and (len(given) > 1 or options.scores or options.output_dtype):
        return "--from-scores needs no --batches, --scores, --info or --output-dtype, nor another recipe's list"
    if len(given) > 1:
        return f"{' and '.join(given)} describe the same thing: give one of them"
    if options.info and not options.annotation_path:
        return "--info needs --annotation-path: it holds no labels"
    if options.label_json and not (options.targets and options.annotation_path):
        return "--label-json needs --targets and --annotation-path: it holds neither ids nor labels"
    if options.targets and not options.label_json:
        return "--targets goes with --label-json"
    return None
