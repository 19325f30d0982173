"""Clips through a compiled model, and what the rows that come out say of each clip and each video."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Deque, Iterator, List, Sequence, Tuple

import numpy as np

from clip2om.infer.engines.base import Engine
from clip2om.pipeline.card import Card
from clip2om.pipeline.records import CompiledRecord
from clip2om.postprocess.metrics import best, video_scores
from clip2om.preprocess.sampling import Sampler
from clip2om.scripts.predict.sources import PlacedClip, Video, read_clips

Top = List[Tuple[int, float]]


@dataclass(frozen=True)
class ScoredClip:
    """One row of the model's output, and the frames behind it, counted from 1, ``last`` included."""

    first: int
    last: int
    logits: np.ndarray


@dataclass
class Prediction:
    """One video and its scored clips, in order."""

    video: Video
    clips: List[ScoredClip] = field(default_factory=list)

    def top(self, k: int, activation: str) -> Top:
        """Return the ``k`` best (class, score) of the video; none without clips."""
        return top_of([clip.logits for clip in self.clips], k, activation)


def top_of(logits: Sequence[np.ndarray], k: int, activation: str) -> Top:
    """Return the ``k`` best (class, score) of the mean over clips."""
    if not logits:
        return []
    rows = np.stack(logits).astype(np.float32)
    scores = video_scores(rows, np.array([len(rows)]), activation)
    return [(int(index), float(scores[0, index])) for index in best(scores, k)[0]]


def score(
    engine: Engine, card: Card, record: CompiledRecord, predictions: Sequence[Prediction]
) -> Iterator[Tuple[int, ScoredClip]]:
    """Yield (number of the video, clip) in order, as results arrive; videos are read one after the other."""
    waiting: Deque[List[Tuple[int, PlacedClip]]] = deque()
    for result in engine.infer(_feeds(card, record, predictions, waiting)):
        owned = waiting.popleft()
        # One row per clip, or per video where the graph averages its clips.
        rows = result.outputs[0].reshape(-1, result.outputs[0].shape[-1])
        step = record.inputs[0].with_batch(record.batch).clips // len(rows)
        for row, start in zip(rows, range(0, len(owned), step)):
            group = owned[start : start + step]
            first = min(clip.first for _, clip in group)
            last = max(clip.last for _, clip in group)
            # The engine may use the array again.
            yield group[0][0], ScoredClip(first, last, row.copy())


def _feeds(
    card: Card,
    record: CompiledRecord,
    predictions: Sequence[Prediction],
    waiting: Deque[List[Tuple[int, PlacedClip]]],
) -> Iterator[np.ndarray]:
    """Yield full batches, the last one padded; ``waiting`` gets the clips of each."""
    batch = record.inputs[0].with_batch(record.batch)
    sampler = Sampler(card.clips, card.dataset.frame_name)
    feed = np.zeros(batch.shape, batch.dtype)
    owned: List[Tuple[int, PlacedClip]] = []
    for owner, prediction in enumerate(predictions):
        for clip in read_clips(prediction.video, card, batch, sampler):
            feed.reshape(batch.clips, *clip.values.shape)[len(owned)] = clip.values
            owned.append((owner, PlacedClip(clip.first, clip.last, _NOTHING)))
            if len(owned) == batch.clips:
                waiting.append(owned)
                yield feed
                feed, owned = np.zeros(batch.shape, batch.dtype), []
    if owned:
        waiting.append(owned)
        yield feed


_NOTHING = np.empty(0)
