"""Command line of the postprocess stage: ``python -m postprocess --help``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Tuple

from clip2om.pipeline import command
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.postprocess.options import conflict, evaluate_parser, stage_parser

if TYPE_CHECKING:
    from clip2om.pipeline.card import Card
    from clip2om.postprocess.annotation import Annotation
    from clip2om.postprocess.batches import Batches
    from clip2om.postprocess.scores import Scores


def main(argv: Optional[List[str]] = None) -> int:
    """Run the stage, or its ``evaluate`` command; return the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["evaluate"]:
        options = evaluate_parser().parse_args(argv[1:])
        return command.run("evaluate", lambda: _evaluate(options))
    parser = stage_parser()
    options = parser.parse_args(argv)
    wrong = conflict(options)
    if wrong:
        parser.error(wrong)
    return command.run("postprocess", lambda: score(options))


def _evaluate(options: argparse.Namespace) -> int:
    from clip2om.postprocess.evaluate import evaluate

    names = ("annotation", "val_json", "k", "subset", "ignore", "save")
    evaluate(Console("evaluate"), *(getattr(options, name) for name in names))
    return 0


def score(options: argparse.Namespace) -> int:
    """Count the scores that ``options`` name and write the results."""
    from clip2om.postprocess import results, show
    from clip2om.postprocess.accuracy import Rules, check_gate, count
    from clip2om.postprocess.class_order import other_order
    from clip2om.postprocess.metrics import best

    console = Console("postprocess", options.quiet)
    scores = _from_archive(options) if options.from_scores else _from_folder(options, console)
    k = min(options.k, len(scores.labels))
    if k < options.k:
        console.say(f"k is {k}: there are no more classes")
    activation = options.activation or scores.origin.activation
    rules = Rules(
        *(k, activation, options.max_clips, options.ignore),
        *(options.ties, options.mean_class, options.first_videos, options.batch_accuracy),
        averaging=options.averaging or scores.origin.averaging,
    )
    outcome = count(scores, rules)
    output = _output(options)
    changed = results.write(outcome, output, with_scores=not options.from_scores)
    console.say(f"wrote {', '.join(changed)} to {output}" if changed else f"{output} holds these results already")
    show.accuracy(console, outcome.accuracy)
    counted = outcome.scores.counted & (outcome.scores.truth >= 0)
    tops = best(outcome.means[counted], 1, options.ties)[:, 0]
    order = other_order(outcome.scores.truth[counted], tops, outcome.scores.labels)
    if order:
        console.warn(order.words())
    check_gate(outcome.accuracy, options.min_accuracy, output / results.ACCURACY)
    console.result(show.verdict(outcome.accuracy, options.min_accuracy))
    return 0


def _from_folder(options: argparse.Namespace, console: Console) -> Scores:
    from clip2om.pipeline import cards
    from clip2om.postprocess import show
    from clip2om.postprocess.reading import read_scores
    from clip2om.postprocess.scores import judged_by

    card = cards.load(options.model, options.set)
    folder = Path(options.scores or _default(card.name, "scores"))
    batches, annotation = _batches(options, card, folder)
    found = read_scores(batches, folder, options.output_dtype)
    show.reading(console, found)
    return judged_by(found.scores, annotation) if annotation else _judged(found.scores, options)


def _batches(options: argparse.Namespace, card: Card, folder: Path) -> Tuple[Batches, Optional[Annotation]]:
    """Return what was given to the runner, and the annotation where the description of it needed one."""
    from clip2om.postprocess import recipe_lists
    from clip2om.postprocess.annotation import read_annotation
    from clip2om.postprocess.batches import from_manifest

    if options.info or options.label_json:
        annotation = read_annotation(options.annotation_path, options.subset or card.dataset.subset)
        if options.info:
            return recipe_lists.from_info(Path(options.info), annotation, card), annotation
        paths = Path(options.label_json), Path(options.targets)
        return recipe_lists.from_label_json(*paths, annotation, card), annotation
    if options.rawframe_list:
        return recipe_lists.from_rawframe_list(Path(options.rawframe_list), card), None
    if options.labelled_names:
        return recipe_lists.from_labelled_names(folder, card), None
    return from_manifest(Path(options.batches or _default(card.name, "batches")), card), None


def _from_archive(options: argparse.Namespace) -> Scores:
    from clip2om.postprocess import archive

    return _judged(archive.read(Path(options.from_scores)), options)


def _judged(scores: Scores, options: argparse.Namespace) -> Scores:
    """Return the scores with the ground truth of --annotation-path, where it is given."""
    from clip2om.pipeline.naming import full_subset
    from clip2om.postprocess.annotation import read_annotation
    from clip2om.postprocess.scores import judged_by

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
    from clip2om.pipeline.places import build_folder

    return build_folder(card) / name


if __name__ == "__main__":
    sys.exit(main())
