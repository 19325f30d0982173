from __future__ import annotations

import numpy as np
import pytest

from clip2om.postprocess.metrics import activated, best, mean_of, proportion, ranks, video_scores, wilson


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [
        # By hand, z = 1.95996: centre (p + z2/2n)/(1 + z2/n), half width z/(1 + z2/n) sqrt(p(1-p)/n + z2/4n2).
        (8, 10, 0.4901625, 0.9433178),
        (0, 10, 0.0, 0.2775328),
        (10, 10, 0.7224672, 1.0),
        (1, 1, 0.2065493, 1.0),
        (952, 1530, 0.5976509, 0.6461813),
    ],
)
def test_wilson_interval(hits: int, total: int, low: float, high: float) -> None:
    assert wilson(hits, total) == pytest.approx((low, high), abs=1e-7)


def test_wilson_limits_are_where_the_observed_share_is_196_standard_errors_away() -> None:
    for hits, total in ((1, 30), (17, 30), (952, 1530)):
        for limit in wilson(hits, total):
            error = (limit * (1 - limit) / total) ** 0.5
            assert abs(hits / total - limit) / error == pytest.approx(1.959963984540054)


def test_a_proportion_of_nothing_has_no_value() -> None:
    empty = proportion(0, 0)
    assert (empty.hits, empty.total, empty.value, empty.low, empty.high) == (0, 0, None, None, None)


def test_interval_of_a_mean_of_classes() -> None:
    one = proportion(8, 10)
    assert mean_of([one]) == pytest.approx((one.value, one.low, one.high))
    # Of n alike parts the limits are sqrt(n) times closer.
    value, low, high = mean_of([one] * 4)
    assert value == pytest.approx(0.8)
    assert low == pytest.approx(0.8 - (0.8 - one.low) / 2)
    assert high == pytest.approx(0.8 + (one.high - 0.8) / 2)
    assert mean_of([proportion(0, 0)]) == (None, None, None)


def test_mean_of_classes_always_right_keeps_a_width() -> None:
    value, low, high = mean_of([proportion(2, 2), proportion(3, 3)])
    assert value == high == 1.0
    assert 0.5 < low < 1.0


def test_softmax_is_per_clip_and_then_averaged() -> None:
    logits = np.array([[0.0, np.log(3.0)], [np.log(3.0), 0.0], [0.0, 0.0]], np.float32)
    scores = video_scores(logits, np.array([2, 1]), "softmax")
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [[0.5, 0.5], [0.5, 0.5]], atol=1e-7)
    np.testing.assert_allclose(video_scores(logits[:1], np.array([1]), "softmax"), [[0.25, 0.75]], atol=1e-7)


def test_without_activation_the_logits_are_averaged() -> None:
    logits = np.array([[1.0, 2.0], [3.0, -6.0]], np.float32)
    np.testing.assert_array_equal(video_scores(logits, np.array([2]), "none"), [[2.0, -2.0]])


def test_softmax_does_not_overflow() -> None:
    logits = np.array([[100.0, 95.0, 0.0], [-150.0, -200.0, -200.0], [3e38, -3e38, 0.0]], np.float32)
    scores = video_scores(logits, np.array([1, 1, 1]), "softmax")
    assert np.isfinite(scores).all()
    assert scores.argmax(axis=1).tolist() == [0, 0, 0]


def test_blocks_of_videos_give_what_one_block_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    counts = np.array([1, 7, 2, 30, 1, 4])
    logits = rng.normal(size=(counts.sum(), 5)).astype(np.float32)
    whole = video_scores(logits, counts, "softmax")
    monkeypatch.setattr("clip2om.postprocess.metrics._BLOCK", 8 * 5)
    np.testing.assert_array_equal(video_scores(logits, counts, "softmax"), whole)


def test_the_order_of_clips_does_not_show() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, size=(19, 51)).astype(np.float32)
    whole = video_scores(logits, np.array([19]), "softmax")
    np.testing.assert_array_equal(video_scores(logits[::-1], np.array([19]), "softmax"), whole)


def test_best_breaks_ties_by_class_index() -> None:
    scores = np.array([[0.1, 0.4, 0.1, 0.4], [0.25, 0.25, 0.25, 0.25]], np.float32)
    assert best(scores, 3).tolist() == [[1, 3, 0], [0, 1, 2]]


def test_ranks_are_places_in_the_order_of_best() -> None:
    rng = np.random.default_rng(2)
    scores = rng.integers(0, 4, size=(200, 9)).astype(np.float32)
    truth = rng.integers(0, 9, size=200)
    order = best(scores, 9)
    assert ranks(scores, truth).tolist() == [order[row].tolist().index(truth[row]) for row in range(200)]


@pytest.mark.parametrize("ties", ["first", "last"])
def test_ranks_are_places_in_the_order_whatever_the_ties(ties: str) -> None:
    rng = np.random.default_rng(5)
    # Few different values, so that most of them are tied; some are no numbers.
    scores = rng.integers(0, 3, (200, 7)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.1] = np.nan
    order = best(scores, 7, ties)
    assert (np.sort(order, axis=1) == np.arange(7)).all()
    for row, places in zip(scores, order):
        keys = [(-np.inf if np.isnan(row[c]) else -row[c], c if ties == "first" else -c) for c in range(7)]
        assert places.tolist() == sorted(range(7), key=keys.__getitem__)
    for truth in range(7):
        assert (order[np.arange(200), ranks(scores, np.full(200, truth), ties)] == truth).all()


def test_last_of_equal_classes_is_the_last_index_that_attains_the_maximum() -> None:
    scores = np.array([[1, 2, 2, 0], [0, 0, 0, 0]], np.float32)
    assert best(scores, 1, "last").tolist() == [[2], [3]]
    assert best(scores, 4, "last").tolist() == [[2, 1, 0, 3], [3, 2, 1, 0]]


def test_naive_softmax_is_float32_and_overflows_where_the_recipes_does() -> None:
    rows = np.array([[88.0, 0.0], [89.0, 0.0], [-150.0, -200.0], [1.0, 2.0]], np.float32)
    found = activated(rows, "naive-softmax")
    np.testing.assert_allclose(found[0], [1.0, 0.0], atol=1e-30)
    assert np.isnan(found[1]).tolist() == [True, False] and np.isnan(found[2]).all()
    np.testing.assert_allclose(found[3], activated(rows[3:], "softmax")[0], atol=1e-6)
    # As NumPy's argmax takes them.
    assert best(found, 1)[:, 0].tolist() == found.argmax(axis=1).tolist() == [0, 0, 0, 1]
