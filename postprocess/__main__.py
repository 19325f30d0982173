"""Command line of the postprocess stage: ``python -m postprocess --help``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

from pipeline import command
from pipeline.console import Console
from pipeline.errors import RequestError

if TYPE_CHECKING:
    from postprocess.scores import Scores

_EXAMPLE = """python -m postprocess --model 3d_resnet --batches build/3d_resnet/batches --scores RUN -k 5
  python -m postprocess --info hmdb51.info --annotation-path hmdb51_1.json --scores RESULT_DIR
  python -m postprocess --from-scores build/3d_resnet/results/scores.npz -k 3
  python -m postprocess evaluate hmdb51_1.json val.json -k 1     (the 3d_resnet recipe's eval_accuracy)"""


def main(argv: Optional[List[str]] = None) -> int:
    """Run the stage, or its ``evaluate`` command; return the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["evaluate"]:
        options = _evaluate_parser().parse_args(argv[1:])
        return command.run("evaluate", lambda: _evaluate(options))
    parser = _parser()
    options = parser.parse_args(argv)
    conflict = _conflict(options)
    if conflict:
        parser.error(conflict)
    return command.run("postprocess", lambda: _score(options))


def _parser() -> command.Parser:
    parser = command.stage_parser("postprocess", "Scores of clips to val.json, accuracy.json and scores.npz.", _EXAMPLE)
    add = parser.add_argument
    add("--batches", metavar="DIR", help="folder with manifest.json (default: build/<card>/batches)")
    add("--scores", metavar="DIR", help="result files of any runner: one run, or its parent (build/<card>/scores)")
    add("--output", metavar="DIR", help="default: build/<card>/results, or the folder of --from-scores")
    add("--info", metavar="FILE", help="instead of --batches: the recipes' .info file, with --annotation-path")
    add("--from-scores", metavar="FILE", help="compute the figures again from a scores.npz, without the score folder")
    add("--annotation-path", metavar="FILE", help="ground truth (default: labels and ids of the batches)")
    add("--subset", metavar="NAME", help="subset of --annotation-path (default: that of the batches)")
    add("-k", type=command.positive, default=1, help="classes per video, and the k of --min-accuracy (default: 1)")
    add("--ignore", action="store_true", help="leave videos without scores out; they count as wrong otherwise")
    add("--max-clips", type=command.count, default=0, metavar="N", help="use the first N clips of a video (0: all)")
    add("--activation", choices=("softmax", "none"), help="per clip, before the mean (default: the card's)")
    add("--output-dtype", choices=("float32", "float16"), help="of BIN files (default: recorded, or by their size)")
    add("--min-accuracy", type=command.fraction, metavar="X", help="exit 1 if top-K falls short of X (0 to 1)")
    return parser


def _evaluate_parser() -> command.Parser:
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


def _conflict(options: argparse.Namespace) -> Optional[str]:
    if options.from_scores and (options.batches or options.scores or options.info or options.output_dtype):
        return "--from-scores needs no --batches, --scores, --info or --output-dtype"
    if options.info and options.batches:
        return "--info and --batches describe the same thing: give one of them"
    if options.info and not options.annotation_path:
        return "--info needs --annotation-path: it holds no labels"
    return None


def _evaluate(options: argparse.Namespace) -> int:
    from postprocess.evaluate import evaluate

    names = ("annotation", "val_json", "k", "subset", "ignore", "save")
    evaluate(Console("evaluate"), *(getattr(options, name) for name in names))
    return 0


def _score(options: argparse.Namespace) -> int:
    from postprocess import results, show
    from postprocess.accuracy import Rules, check_gate, count

    console = Console("postprocess", options.quiet)
    scores = _from_archive(options) if options.from_scores else _from_folder(options, console)
    k = min(options.k, len(scores.labels))
    if k < options.k:
        console.say(f"k is {k}: there are no more classes")
    rules = Rules(k, options.activation or scores.origin.activation, options.max_clips, options.ignore)
    outcome = count(scores, rules)
    output = _output(options)
    changed = results.write(outcome, output, with_scores=not options.from_scores)
    console.say(f"wrote {', '.join(changed)} to {output}" if changed else f"{output} holds these results already")
    show.accuracy(console, outcome.accuracy)
    check_gate(outcome.accuracy, options.min_accuracy, output / results.ACCURACY)
    console.result(show.verdict(outcome.accuracy, options.min_accuracy))
    return 0


def _from_folder(options: argparse.Namespace, console: Console) -> Scores:
    from pipeline import card as cards
    from postprocess import show
    from postprocess.annotation import read_annotation
    from postprocess.batches import from_info, from_manifest
    from postprocess.reading import read_scores
    from postprocess.scores import judged_by

    card = cards.load(options.model, options.set)
    folder = Path(options.scores or _default(card.name, "scores"))
    if options.info:
        annotation = read_annotation(options.annotation_path, options.subset or card.dataset.subset)
        batches = from_info(Path(options.info), annotation, card)
    else:
        batches = from_manifest(Path(options.batches or _default(card.name, "batches")), card)
    found = read_scores(batches, folder, options.output_dtype)
    show.reading(console, found)
    return judged_by(found.scores, annotation) if options.info else _judged(found.scores, options)


def _from_archive(options: argparse.Namespace) -> Scores:
    from postprocess import archive

    return _judged(archive.read(Path(options.from_scores)), options)


def _judged(scores: Scores, options: argparse.Namespace) -> Scores:
    """Return the scores with the ground truth of --annotation-path, where it is given."""
    from postprocess.annotation import full_subset, read_annotation
    from postprocess.scores import judged_by

    own = scores.origin.subset
    if options.annotation_path:
        return judged_by(scores, read_annotation(options.annotation_path, options.subset or own))
    if options.subset and full_subset(options.subset) != own:
        raise RequestError(
            f"the batches hold subset {own!r}, not {options.subset!r}", "--subset", "add --annotation-path FILE"
        )
    return scores


def _output(options: argparse.Namespace) -> Path:
    if options.output:
        return Path(options.output)
    if options.from_scores:
        return Path(options.from_scores).parent
    return _default(Path(options.model).stem, "results")


def _default(card: str, name: str) -> Path:
    from pipeline.card import ROOT

    return ROOT / "build" / card / name


if __name__ == "__main__":
    sys.exit(main())
