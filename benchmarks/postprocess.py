"""Scores of a whole validation split to val.json and accuracy.json."""

from __future__ import annotations

from pathlib import Path
from typing import List

import numpy as np

from clip2om.benchmarks.inputs import run
from clip2om.benchmarks.row import AT_MOST, Growth, Row, Scale
from clip2om.pipeline import cards
from clip2om.pipeline.manifest import BatchFile, Manifest, Video, write_manifest

# The clips and videos of HMDB51 split 1.
_CLIPS, _VIDEOS = 9530, 1530
_CARD = "3d_resnet"


def rows(scale: Scale) -> List[Row]:
    """Time the command over the clip counts of HMDB51 split 1."""
    clips, videos = (200, 40) if scale.quick else (_CLIPS, _VIDEOS)
    words = _prepare(scale.work / "postprocess", clips, videos)
    samples = tuple(_time(words) for _ in range(scale.rounds))
    what = f"{clips:,} clips of {videos:,} videos, val.json, accuracy.json and scores.npz"
    return [Row("postprocess", what, "s", samples, (), 1.0, AT_MOST, "whole command, start of Python included")]


def growth(scale: Scale) -> List[Growth]:
    """Time 1, 2, 4 and 8 times as many videos."""
    unit = 20 if scale.quick else _VIDEOS // 4
    counts = tuple(unit * factor for factor in (1, 2, 4, 8))
    costs = []
    for videos in counts:
        words = _prepare(scale.work / f"postprocess_{videos}", 6 * videos, videos)
        costs.append(float(np.median([_time(words) for _ in range(3)])))
    return [Growth("postprocess", "s", counts, tuple(costs))]


def _time(words: List[str]) -> float:
    # Files that would not change are not written again: what a first run costs is to be measured.
    output = Path(words[words.index("--output") + 1])
    for path in output.glob("*"):
        path.unlink()
    return run(words)


def _prepare(folder: Path, clips: int, videos: int) -> List[str]:
    """Write a manifest and random scores and return the command."""
    from clip2om.preprocess.fingerprint import fingerprint

    card = cards.load(_CARD)
    batch, labels = card.input.batch, card.labels()
    folder.mkdir(parents=True, exist_ok=True)
    count = -(-clips // batch)
    random = np.random.default_rng(0)
    scores = folder / "scores"
    scores.mkdir(exist_ok=True)
    for number in range(count):
        random.standard_normal((batch, len(labels)), np.float32).tofile(scores / f"batch_{number:05d}_0.bin")
    tensor = card.input_spec(batch)
    files = [
        BatchFile(f"batch_{n:05d}.bin", tensor.nbytes, min(batch, clips - n * batch), "0" * 64) for n in range(count)
    ]
    bounds = np.linspace(0, clips, videos + 1).astype(int).tolist()
    places = [(*divmod(clip, batch), 1, 16) for clip in range(clips)]
    rows_ = [
        Video(f"video_{n:05d}", labels[n % len(labels)], (1, 97), 0, places[bounds[n] : bounds[n + 1]])
        for n in range(videos)
    ]
    manifest = Manifest(
        card=card.name,
        card_digest=card.digest("input", "clips", "transform"),
        transform_digest=card.digest("transform"),
        dataset=card.dataset.name,
        subset="validation",
        annotation="none",
        annotation_sha256="0" * 64,
        layout="packed",
        tensor=tensor,
        fingerprint=fingerprint(card, ("frames",), 0),
        labels=labels,
        expected=videos,
        files=files,
        videos=rows_,
        skipped=[],
        versions={},
    )
    write_manifest(folder, manifest)
    (folder / "results").mkdir(exist_ok=True)
    words = ["--batches", str(folder), "--scores", str(scores), "--output", str(folder / "results"), "--quiet"]
    return ["-m", "postprocess", "--model", _CARD, *words]
