"""Clips from frames: each frame once, as many in memory as the open clips need, and places given by the caller."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator, Sequence, Tuple

import numpy as np
import pytest

from clip2om.pipeline.card import Card
from clip2om.pipeline.cards import load
from clip2om.preprocess.frames import Frame
from clip2om.preprocess.sampling import Clip, Sampler, windows
from clip2om.preprocess.sources import Source
from clip2om.preprocess.worker import iter_clips, recipe_of
from tests.preprocess.conftest import SmallSet, write_frames

_COUNT = 40


@dataclass(frozen=True)
class Counted(Source):
    """A source that counts what is read of it."""

    seen: Counter = field(default_factory=Counter)

    def read(self, numbers: Sequence[int]) -> Iterator[Tuple[int, Frame]]:
        for number, frame in super().read(numbers):
            self.seen[number] += 1
            yield number, frame


@pytest.fixture
def card() -> Card:
    return load("3d_resnet", SmallSet.card[1::2])


@pytest.fixture
def source(tmp_path: Path) -> Counted:
    write_frames(tmp_path / "video", 3, _COUNT, (24, 32))
    return Counted("frames", str(tmp_path / "video"), "image_{:05d}.jpg")


def _made(card: Card, source: Source, clips: Sequence[Clip]) -> dict:
    recipe = recipe_of(card, card.input_spec(1, "uint8"))
    return {index: clip.copy() for index, clip in iter_clips(source, clips, recipe)}


def test_overlapping_windows_decode_every_frame_once(card: Card, source: Counted) -> None:
    clips = [tuple(number + 1 for number in clip) for clip in windows(_COUNT, 8, 1)]
    made = _made(card, source, clips)
    assert len(made) == len(clips) == _COUNT - 8 + 2
    assert source.seen == {number: 1 for number in range(1, _COUNT + 1)}
    np.testing.assert_array_equal(made[0][:, 1:], made[1][:, :7])


def test_frames_in_any_order_and_clips_as_they_are_complete(card: Card, source: Counted) -> None:
    clips = [(9, 1, 9, 2, 9, 3, 9, 4), (2, 2, 2, 2, 2, 2, 2, 2), (5, 4, 3, 2, 1, 1, 1, 1)]
    recipe = recipe_of(card, card.input_spec(1, "uint8"))
    order = [index for index, _ in iter_clips(source, clips, recipe)]
    assert order == [1, 2, 0]
    made = _made(card, source, clips)
    np.testing.assert_array_equal(made[0][:, 1], made[2][:, 4])
    np.testing.assert_array_equal(made[0][:, 3], made[1][:, 0])


def test_memory_holds_the_open_clips_only(card: Card, source: Counted) -> None:
    clips = [tuple(number + 1 for number in clip) for clip in windows(_COUNT, 8, 2)]
    recipe = recipe_of(card, card.input_spec(1, "uint8"))
    making = iter_clips(source, clips, recipe)
    held = [len(making.gi_frame.f_locals["frames"]) for _ in making]  # type: ignore[attr-defined]
    assert len(held) == len(clips)
    assert max(held) <= 8


def test_clips_are_written_where_the_caller_says(card: Card, source: Counted) -> None:
    clips = Sampler(card.clips, "").clips(1, _COUNT + 1)
    recipe = recipe_of(card, card.input_spec(1, "float32"))
    batch = np.zeros((len(clips), *recipe.shape), np.float32)
    for index, clip in iter_clips(source, clips, recipe, lambda index: batch[index]):
        assert np.shares_memory(clip, batch[index])
    expected = np.stack([clip for _, clip in iter_clips(source, clips, recipe)])
    np.testing.assert_array_equal(batch, expected)
    assert batch.any(axis=(1, 2, 3, 4)).all()
