"""Result files to :class:`Scores`, with everything accounted for that is missing, extra or unusable."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np

from clip2om.pipeline.artifact import digest_of
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.records import Summary
from clip2om.pipeline.tensor import TensorSpec
from clip2om.postprocess.batches import Batches, averaged
from clip2om.postprocess.folders import SUMMARY, Located, locate
from clip2om.postprocess.scores import MISSING, VIDEO, Absent, Origin, Scores
from clip2om.postprocess.tensors import Shape, check_labels, decide, digest_check, read_result


@dataclass(frozen=True)
class Reading:
    """Scores, and what a person should know about the files; ``guessed`` where their size alone told the dtype."""

    scores: Scores
    run: Path
    files: int
    shape: Shape
    guessed: bool
    missing: List[str]
    extra: List[Path]


def read_scores(batches: Batches, folder: Path, output_dtype: Optional[str] = None) -> Reading:
    """Read the results of ``batches`` from the folder of any runner.

    Args:
        batches: What the runner was given.
        folder: One run, or the folder that holds exactly one.
        output_dtype: dtype of BIN files; default: our summary's, else float32, else float16 if the size is half.

    Raises:
        RequestError: the scores belong to another manifest; no or ambiguous result files; wrong sizes; a label list
            that does not cover the outputs; NaN or infinity in a row that is used.
    """
    needed = [batches.files[number] for number in np.unique(batches.clips[:, 0])]
    located = locate(folder, needed, sorted({*batches.files} - {*needed}))
    if located.summary is not None:
        _check_manifest(located.summary, batches, located.run / SUMMARY)
        _check_class_list(located.summary, batches, located.run / SUMMARY)
    batches = _by_rows(batches, located)
    missing = [file for file in needed if file not in located.paths]
    if not located.paths:
        raise RequestError(f"holds no result of {missing[0]}", located.run, "run python -m infer on these batches")
    dtype = output_dtype or _recorded_dtype(located, batches)
    if located.summary is None:
        _check_rows(batches, located)
    shape = decide(list(located.paths.values()), batches.rows * batches.frames, len(batches.labels), dtype)
    logits, digest = _read(batches, located, shape)
    have = np.array([file in located.paths for file in batches.files], bool)[batches.clips[:, 0]]
    _check_finite(logits, have, batches, located)
    origin = _origin(batches.origin, located, digest, shape)
    scores = _assemble(batches, logits, have, origin)
    guessed = dtype is None and shape.dtype == "float16"
    return Reading(scores, located.run, len(located.paths), shape, guessed, missing, located.extra)


def _check_manifest(summary: Summary, batches: Batches, path: Path) -> None:
    expected = batches.origin.manifest_sha256
    if expected is not None and summary.manifest_sha256 != expected:
        raise RequestError(
            f"these scores belong to another manifest (SHA-256 {summary.manifest_sha256[:12]}..., "
            f"{batches.where} has {expected[:12]}...)",
            path,
            "run python -m infer again, or give the --batches that they were made from",
        )


def _check_class_list(summary: Summary, batches: Batches, path: Path) -> None:
    if summary.labels_digest and summary.labels_digest != digest_of(batches.labels):
        raise RequestError(
            "these scores are of a model whose classes are others, or in another order, than the labels here",
            path,
            "give the card and the --set dataset.labels=NAME that the model was converted with",
        )


def _recorded_dtype(located: Located, batches: Batches) -> Optional[str]:
    if located.summary is None or not located.summary.outputs:
        return None
    output = located.summary.outputs[0]
    check_labels(_columns(output), len(batches.labels), located.run / SUMMARY)
    return output.dtype


def _columns(output: TensorSpec) -> int:
    """Return the values of one row of an output: of a clip, or of an item where the output has no clip axis."""
    clips = output.clips_per_item if "K" in output.layout else 1
    return int(np.prod(output.shape[1:])) // clips


def _by_rows(batches: Batches, located: Located) -> Batches:
    """Return the batches with a row per clip or a row per item, as the summary has it, else the card."""
    averages = batches.averages
    if located.summary is not None and located.summary.outputs and batches.clips_per_item > 1:
        averages = located.summary.outputs[0].clips < batches.rows
    return averaged(batches) if averages else batches


def _check_rows(batches: Batches, located: Located) -> None:
    """Tell results with a row per video from results with a row per clip, where the card says otherwise."""
    sizes = {path.stat().st_size for path in located.paths.values() if path.suffix.lower() == ".bin"}
    found, size = sizes.pop() if len(sizes) == 1 else 0, 4 * batches.rows * len(batches.labels)
    per_video = batches.origin.rows == VIDEO
    other = size * batches.clips_per_item if per_video else size // batches.clips_per_item
    if batches.clips_per_item > 1 and found == other:
        rows = "clip" if per_video else "video"
        raise RequestError(
            f"holds {found} bytes per file, one row per {rows}, unlike the card's export.average_clips",
            located.run,
            f"add --set export.average_clips={'false' if per_video else 'true'}",
        )


def _read(batches: Batches, located: Located, shape: Shape) -> Tuple[np.ndarray, str]:
    """Return the logits, float32 (clips, classes), NaN where there is no result, and the digest over the files."""
    summary = located.summary
    recorded: Dict[str, str] = {} if summary is None else {item.name: item.sha256 for item in summary.files}
    logits = np.full((len(batches.clips), shape.columns), np.nan, np.float32)
    order = np.argsort(batches.clips[:, 0], kind="stable")
    bounds = np.searchsorted(batches.clips[order, 0], np.arange(len(batches.files) + 1))
    digests = []
    for number, file in enumerate(batches.files):
        path = located.paths.get(file)
        if path is None:
            continue
        rows, digest = read_result(path, shape)
        digest_check(digest, recorded, path)
        if batches.frames > 1:
            # The consensus over the frames of a clip, of what the graph gives: before any activation.
            rows = rows.reshape(batches.rows, batches.frames, -1).mean(axis=1, dtype=np.float64).astype(np.float32)
        digests.append([file, digest])
        clips = order[bounds[number] : bounds[number + 1]]
        logits[clips] = rows[batches.clips[clips, 1]]
    return logits, digest_of(digests)


def _check_finite(logits: np.ndarray, have: np.ndarray, batches: Batches, located: Located) -> None:
    bad = np.flatnonzero(have & ~np.isfinite(logits).all(axis=1))
    if not bad.size:
        return
    file, row = batches.clips[bad[0]]
    values = logits[bad[0]]
    column = int(np.flatnonzero(~np.isfinite(values))[0])
    more = f" (and {bad.size - 1} more rows)" if bad.size > 1 else ""
    video = batches.ids[int(np.repeat(np.arange(len(batches.ids)), batches.counts)[bad[0]])]
    raise RequestError(
        f"row {row} (counted from 0) holds {values[column]} in column {column}, of video {video!r}{more}",
        located.paths[batches.files[file]],
        "check the model for overflow (float16 ends at 65504), or the dtype with --output-dtype",
    )


def _assemble(batches: Batches, logits: np.ndarray, have: np.ndarray, origin: Origin) -> Scores:
    """Keep the videos of which every clip has a result; the others are missing."""
    video = np.repeat(np.arange(len(batches.ids)), batches.counts)
    lost = np.bincount(video[~have], minlength=len(batches.ids))
    whole = lost == 0
    absent = [_missing(batches, int(number), int(lost[number]), video, have) for number in np.flatnonzero(~whole)]
    kept = np.flatnonzero(whole)
    number_of = np.cumsum(whole) - 1
    clips = whole[video]
    return Scores(
        labels=batches.labels,
        ids=[batches.ids[number] for number in kept],
        truth=batches.truth[kept],
        counted=np.ones(len(kept), bool),
        clip_video=number_of[video[clips]].astype(np.int32),
        logits=logits[clips] if not whole.all() else logits,
        absent=[*batches.absent, *absent],
        origin=origin,
        views=None if batches.views is None else batches.views[clips],
    )


def _missing(batches: Batches, number: int, lost: int, video: np.ndarray, have: np.ndarray) -> Absent:
    files = np.unique(batches.clips[(video == number) & ~have, 0])
    names = ", ".join(batches.files[file] for file in files)
    reason = f"no result of {names} ({lost} of {batches.counts[number]} clips)"
    return Absent(batches.ids[number], batches.names[number], MISSING, reason)


def _origin(origin: Origin, located: Located, digest: str, shape: Shape) -> Origin:
    kinds = sorted({path.suffix[1:].upper() for path in located.paths.values()})
    words = [f"BIN {shape.dtype}" if kind == "BIN" else kind for kind in kinds]
    origin = replace(origin, scores_sha256=digest, format=", ".join(words))
    summary = located.summary
    if summary is None:
        return origin
    return replace(
        origin,
        model_sha256=summary.model_sha256,
        engine=summary.engine,
        engine_version=summary.engine_version,
        device=summary.device,
        soc=summary.soc,
        precision=summary.precision,
    )
