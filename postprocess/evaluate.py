"""Accuracy of a val.json against an annotation, by the rules and in the words of the 3d_resnet recipe.

The recipe divides by zero where there is nothing to count; here that is an error of one line.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Dict, List, Optional

from clip2om.pipeline.artifact import load_json, write_if_changed
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.postprocess.annotation import Annotation, read_annotation

_SHAPE = "expected {'results': {video id: [{'label': name, 'score': number}, ...]}}"
_TODO = "write one with python -m postprocess"


def evaluate(console: Console, annotation: str, val_json: str, k: int, subset: str, ignore: bool, save: bool) -> float:
    """Print and return the share of videos whose class is among the first ``k`` entries, best score first.

    Videos without a result count as wrong; with ``ignore`` they do not count. Results of videos outside the subset do
    not count. ``save`` writes the bare number to ``top<k>.txt`` beside ``val_json``.

    Raises:
        RequestError: a file of another shape, a score that is NaN or infinite, a label that the annotation does not
            list, a video without a label,
            nothing in the subset, or nothing left to count.
    """
    console.result("load ground truth")
    truth = read_annotation(annotation, subset)
    console.result(f"number of ground truth: {len(truth.truth)}")
    console.result("load result")
    results = _read_results(val_json, set(truth.labels))
    console.result(f"number of result: {len(results)}")
    console.result(f"calculate top-{k} accuracy")
    accuracy = _accuracy(truth, results, k, ignore, val_json)
    console.result(f"top-{k} accuracy: {accuracy}")
    if save:
        write_if_changed(Path(val_json).parent / f"top{k}.txt", str(accuracy).encode("ascii"))
    return accuracy


def _accuracy(annotation: Annotation, results: Dict[str, List[str]], k: int, ignore: bool, where: str) -> float:
    hits, total = 0, 0
    for name, label in annotation.truth.items():
        if label is None:
            raise RequestError(f"video {name!r} has no label", annotation.path, "choose another --subset")
        found: Optional[List[str]] = results.get(name)
        if found is None:
            total += not ignore
            continue
        if not found:
            raise RequestError(f"the result of video {name!r} is empty", where, _TODO)
        total += 1
        hits += label in found[:k]
    if not total:
        raise RequestError(
            f"holds no result of subset {annotation.subset!r}, so --ignore leaves nothing to count", where, _TODO
        )
    return hits / total


def _read_results(path: str, known: set) -> Dict[str, List[str]]:
    """Return the labels of each video by descending score, null first; equal scores keep their order in the file."""
    data = load_json(path, _TODO)
    results = data.get("results") if isinstance(data, dict) else None
    if not isinstance(results, dict):
        raise RequestError(f"is JSON of another shape; {_SHAPE}", path)
    return {name: _labels(name, entries, known, path) for name, entries in results.items()}


def _labels(name: str, entries: Any, known: set, path: str) -> List[str]:
    try:
        ordered = sorted(entries, key=lambda entry: _place(entry["score"]))
        labels = [entry["label"] for entry in ordered]
        bad = next((entry["score"] for entry in entries if not _is_finite(entry["score"])), None)
        unknown = [label for label in labels if label not in known]
    except (TypeError, KeyError, ValueError, AttributeError):
        raise RequestError(f"the result of video {name!r} is of another shape; {_SHAPE}", path) from None
    if bad is not None:
        raise RequestError(f"a score of video {name!r} is {bad}, which is no number to rank by", path, _TODO)
    if unknown:
        raise RequestError(f"label {unknown[0]!r} of video {name!r} is not in the annotation's 'labels'", path)
    return labels


def _is_finite(score: Any) -> bool:
    """True for a number, and for null; NaN and infinity are neither, though JSON of Python's may hold them.

    Raises:
        TypeError: it is of another kind.
    """
    if isinstance(score, (str, bool)):
        raise TypeError
    try:
        return score is None or math.isfinite(score)
    except OverflowError:
        return False


def _place(score: Any) -> float:
    """Return what to sort by: null is the NaN of a naive softmax, which NumPy's argmax takes for the maximum."""
    try:
        return -math.inf if score is None else -float(score)
    except OverflowError:  # an integer beyond all floating-point numbers, which is refused later
        return 0.0
