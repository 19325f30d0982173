"""The comparison itself: the triage, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.typed import to_dict
from clip2om.postprocess.scores import Scores
from clip2om.scripts.compare.logits import Drift, common_clips, drift
from clip2om.scripts.compare.paired import Paired, paired
from clip2om.scripts.compare.tensors import DIFFERS, SAME, UNKNOWN, WITHIN, Check, check_tensors
from clip2om.scripts.pages.run import Note, Run


@dataclass(frozen=True)
class Side:
    """What a run was."""

    results: str
    card: str
    soc: Optional[str]
    engine: Optional[str]
    device: Optional[str]
    precision: Optional[str]
    batch: Optional[int]
    model_sha256: Optional[str]


@dataclass(frozen=True)
class Speed:
    """One figure of both runs; ``better`` says whether more or less of it is better."""

    name: str
    unit: str
    a: Optional[float]
    b: Optional[float]
    better: str

    @property
    def ratio(self) -> Optional[float]:
        """B over A."""
        return self.b / self.a if self.a and self.b is not None else None


@dataclass(frozen=True)
class Comparison:
    """Everything that was found.

    Attributes:
        triage: Input tensors, logits and rules of scoring, in this order.
        first: Step of the first check that differs, or else is within limits; None where all that is known is the same.
        drift: None where the runs have no clip in common or their rows are of different things.
        accuracy: None where the inputs were prepared differently and nobody asked for it all the same.
    """

    a: Side
    b: Side
    triage: List[Check]
    first: Optional[str]
    drift: Optional[Drift]
    accuracy: Optional[Paired]
    speed: List[Speed]


def compare(a: Run, b: Run, k: int, different_inputs: bool, console: Console) -> Comparison:
    """Compare two runs.

    Raises:
        RequestError: they are of different datasets, subsets or label sets, have no video in common, or count none.
    """
    _refuse(a, b)
    tensors = check_tensors(a, b, console)
    alike = a.scores.origin.rows == b.scores.origin.rows
    found = drift(a, b) if alike and len(common_clips(a, b)[0]) else None
    triage = [tensors, _logits(found, "no_common_clip" if alike else "other_rows"), _rules(a, b)]
    told = tensors.verdict != DIFFERS or different_inputs
    return Comparison(
        a=_side(a),
        b=_side(b),
        triage=triage,
        first=_first(triage),
        drift=found,
        accuracy=paired(a, b, min(k, len(a.scores.labels))) if told else None,
        speed=_speed(a, b),
    )


def refusal(found: Comparison) -> RequestError:
    """Return the error for a comparison whose accuracies were not compared."""
    why = str(found.triage[0].why)
    return RequestError(
        f"the inputs of the two runs were prepared differently ({why}), so their accuracies are not compared",
        found.b.results,
        "prepare both alike, or add --different-inputs to compare them all the same",
    )


def _refuse(a: Run, b: Run) -> None:
    where = b.folders.results
    for name in ("dataset", "subset"):
        mine, yours = (getattr(run.accuracy.origin, name) for run in (a, b))
        if mine != yours:
            raise RequestError(f"is of {name} {yours!r}, run A of {mine!r}", where, "compare runs over the same videos")
    if a.scores.labels != b.scores.labels:
        raise RequestError(_labels(a.scores, b.scores), where, "compare runs with the same classes")
    if not set(a.scores.ids) & set(b.scores.ids):
        raise RequestError("has no video in common with run A", where, "compare runs over the same videos")
    for run in (a, b):
        if not len(run.judged):
            raise RequestError("no scored video has a label", run.folders.results, "score it with --annotation-path")


def _labels(a: Scores, b: Scores) -> str:
    if len(a.labels) != len(b.labels):
        return f"has {len(b.labels)} labels, run A has {len(a.labels)}"
    number = next(index for index, (mine, yours) in enumerate(zip(a.labels, b.labels)) if mine != yours)
    return f"has other labels than run A: class {number} is {b.labels[number]!a}, in run A {a.labels[number]!a}"


def _logits(found: Optional[Drift], missing: str) -> Check:
    if found is None:
        return Check("logits", UNKNOWN, Note(missing))
    if found.identical:
        return Check("logits", SAME, Note("same_logits", {"clips": found.clips}))
    values: Dict[str, object] = {
        "cosine": f"{found.cosine:.6f}",
        "relative": f"{found.relative:.3g}",
        "kl": f"{found.kl:.3g}",
        "clips": found.clips,
    }
    return Check("logits", WITHIN if found.within else DIFFERS, Note("logits_differ", values))


def _rules(a: Run, b: Run) -> Check:
    mine, yours = to_dict(a.accuracy.rules), to_dict(b.accuracy.rules)
    # Both runs are judged by the k of this comparison, whatever their own tables had.
    fields = [(n, str(value), str(yours[n])) for n, value in mine.items() if n != "k" and value != yours[n]]
    settings = len(fields)
    changed = _changed_truth(a.scores, b.scores)
    fields += [("truth", str(changed[name][0]), f"{changed[name][1]} ({name})") for name in list(changed)[:1]]
    if not fields:
        return Check("rules", SAME, Note("same_rules"))
    return Check("rules", DIFFERS, Note("rules_differ", {"settings": settings, "count": len(changed)}), fields)


def _changed_truth(a: Scores, b: Scores) -> Dict[str, Tuple[str, str]]:
    """Return the videos with another true class."""
    theirs = dict(zip(b.ids, b.truth.tolist()))
    names = [*a.labels, "none"]
    mine = zip(a.ids, a.truth.tolist())
    return {name: (names[truth], names[theirs[name]]) for name, truth in mine if theirs.get(name, truth) != truth}


def _first(triage: List[Check]) -> Optional[str]:
    for verdict in (DIFFERS, WITHIN):
        for check in triage:
            if check.verdict == verdict:
                return check.step
    return None


def _side(run: Run) -> Side:
    origin = run.accuracy.origin
    engine = " ".join(part for part in (origin.engine, origin.engine_version) if part) or None
    return Side(
        results=str(run.folders.results),
        card=origin.card,
        soc=origin.soc,
        engine=engine,
        device=origin.device,
        precision=origin.precision or (run.compiled.precision if run.compiled else None),
        batch=run.compiled.batch if run.compiled else None,
        model_sha256=origin.model_sha256,
    )


def _speed(a: Run, b: Run) -> List[Speed]:
    mine, yours = (run.summary.throughput if run.summary else None for run in (a, b))
    rows = []
    for name in ("mean", "p50", "p90", "p99", "max"):
        waits = [float(getattr(item.latency, f"{name}_ms")) if item else None for item in (mine, yours)]
        rows.append(Speed(name, "ms", waits[0], waits[1], "less"))
    for name in ("compute", "wall"):
        rates = [float(getattr(item, name).clips_per_s) if item else None for item in (mine, yours)]
        rows.append(Speed(name, "clips/s", rates[0], rates[1], "more"))
    alone = [item.device_compute.slots_per_s if item and item.device_compute else None for item in (mine, yours)]
    rows.append(Speed("device_alone", "clips/s", alone[0], alone[1], "more"))
    return [row for row in rows if row.a is not None or row.b is not None]
