"""The weighted mean of two runs' scores, video by video."""

from __future__ import annotations

from dataclasses import replace
from typing import List, Tuple

import numpy as np

from clip2om.pipeline.artifact import digest_of
from clip2om.pipeline.errors import RequestError
from clip2om.postprocess.accuracy import Outcome, Rules, count
from clip2om.postprocess.scores import MISSING, VIDEO, Absent, Origin
from clip2om.scripts.pages.run import Run

Weights = Tuple[float, float]


def fuse(a: Run, b: Run, weights: Weights, k: int) -> Outcome:
    """Count the weighted mean of two runs.

    Raises:
        RequestError: they are of other datasets, subsets or classes, or have no video in common; one of them has logits
            where the other has probabilities.
    """
    _refuse(a, b)
    place = {name: row for row, name in enumerate(b.scores.ids)}
    shared = [row for row, name in enumerate(a.scores.ids) if name in place]
    if not shared:
        raise RequestError("has no video in common with run A", b.folders.results, "fuse runs over the same videos")
    theirs = [place[a.scores.ids[row]] for row in shared]
    total = weights[0] + weights[1]
    means = a.means[shared].astype(np.float64) * (weights[0] / total)
    means += b.means[theirs].astype(np.float64) * (weights[1] / total)
    scores = replace(
        a.scores,
        ids=[a.scores.ids[row] for row in shared],
        truth=a.scores.truth[shared],
        counted=a.scores.counted[shared],
        clip_video=np.arange(len(shared), dtype=np.int32),
        logits=means.astype(np.float32),
        absent=_absent(a, b),
        origin=_origin(a, b, weights),
        views=None,
    )
    rules = Rules(min(k, len(scores.labels)), "none", ignore=a.accuracy.rules.ignore, ties=a.accuracy.rules.ties)
    return count(scores, rules)


def _refuse(a: Run, b: Run) -> None:
    where = b.folders.results
    for name in ("dataset", "subset"):
        mine, yours = (getattr(run.accuracy.origin, name) for run in (a, b))
        if mine != yours:
            raise RequestError(f"is of {name} {yours!r}, run A of {mine!r}", where, "fuse runs over the same videos")
    if a.scores.labels != b.scores.labels:
        raise RequestError("has other classes than run A, or in another order", where, "fuse runs of the same classes")
    if a.probabilities != b.probabilities:
        kinds = ["probabilities" if run.probabilities else "other scores" for run in (a, b)]
        raise RequestError(
            f"has {kinds[1]}, run A {kinds[0]}: their mean says nothing",
            where,
            "count both alike: python -m postprocess --from-scores scores.npz --activation softmax",
        )
    truth = dict(zip(a.scores.ids, a.scores.truth.tolist()))
    for name, label in zip(b.scores.ids, b.scores.truth.tolist()):
        if truth.get(name, label) != label:
            raise RequestError(
                f"has another class for video {name!r} than run A", where, "judge both by one annotation"
            )


def _absent(a: Run, b: Run) -> List[Absent]:
    """Return the videos that either run lacks."""
    found = {item.id: item for run in (a, b) for item in run.scores.absent}
    for mine, other, letter in ((a, b, "B"), (b, a, "A")):
        known = set(other.scores.ids)
        for row in mine.judged.tolist():
            name = mine.scores.ids[row]
            if name not in known and name not in found:
                label = mine.scores.labels[mine.scores.truth[row]]
                found[name] = Absent(name, label, MISSING, f"run {letter} has no scores of it")
    return list(found.values())


def _origin(a: Run, b: Run, weights: Weights) -> Origin:
    mine, yours = a.accuracy.origin, b.accuracy.origin
    digest = digest_of([mine.scores_sha256, yours.scores_sha256, list(weights)])
    return replace(
        mine,
        card=mine.card if mine.card == yours.card else f"{mine.card}+{yours.card}",
        activation="none",
        averaging="mean",
        manifest_sha256=None,
        fingerprint=None,
        scores_sha256=digest,
        format="fused",
        model_sha256=None,
        rows=VIDEO,
    )
