"""The parity gate and the inputs it compares on."""

import numpy as np
import pytest

from clip2om.export import gate, parity
from clip2om.pipeline import cards
from clip2om.pipeline.errors import ShortfallError
from clip2om.pipeline.tensor import TensorSpec

LOGITS = np.linspace(-3, 5, 32, dtype=np.float32).reshape(4, 8)


def spec(batch):
    return TensorSpec("input", "uint8", (batch, 3, 8, 12, 16), "NCTHW")


@pytest.mark.parametrize(("batch", "sizes"), [(1, [1] * 4), (3, [3, 3]), (4, [4]), (10, [10]), (-1, [1, 3])])
def test_probe_has_several_clips_and_for_an_open_batch_several_sizes(batch, sizes):
    assert [len(pixels) for pixels in parity.probe_batches(spec(batch))] == sizes


def test_probe_is_deterministic_and_asymmetric_in_every_axis():
    (pixels,), (again,) = parity.probe_batches(spec(4)), parity.probe_batches(spec(4))
    assert pixels.dtype == np.uint8 and np.array_equal(pixels, again)
    assert pixels.min() == 0 and pixels.max() == 255
    for axis in range(5):
        assert np.mean(pixels != np.flip(pixels, axis)) > 0.6  # flipping three channels leaves one in place


def test_normalising_takes_the_recipe_s_three_float32_steps():
    transform = cards.load("3d_resnet").transform
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 1, 16, 16).repeat(3, axis=1)
    found = parity.normalised(pixels, "NCTHW", transform)
    for channel, (mean, std) in enumerate(zip(transform.mean, transform.std)):
        expected = [(np.float32(x) / np.float32(255) - np.float32(mean)) / np.float32(std) for x in range(256)]
        assert found.dtype == np.float32
        assert np.array_equal(found[0, channel].ravel(), np.array(expected, np.float32))


@pytest.mark.parametrize("layout", ["NTHWC", "NCTHW"])
def test_normalising_takes_the_mean_volume_in_place_of_the_mean(layout):
    overrides = ["transform.mean=[9,9,9]", "transform.scale=1.0", "transform.std=[1,2,4]"]
    transform = cards.load("3d_resnet", overrides).transform
    random = np.random.default_rng(0)
    volume = random.uniform(60, 130, (4, 5, 6, 3)).astype(np.float32)
    clips = random.integers(0, 256, (2, 4, 5, 6, 3)).astype(np.uint8)
    axes = [0, *("NTHWC".index(axis) for axis in layout[1:])]
    found = parity.normalised(clips.transpose(axes), layout, transform, volume)
    expected = (clips.astype(np.float32) - volume) / np.array([1, 2, 4], np.float32)
    assert found.dtype == np.float32 and np.array_equal(found, expected.transpose(axes))


def test_statistics_of_several_clips_per_item_broadcast():
    transform = cards.load("3d_resnet").transform
    clips = np.random.default_rng(0).integers(0, 256, (2, 5, 3, 2, 4, 6)).astype(np.uint8)
    found = parity.normalised(clips, "NKCTHW", transform)
    assert np.array_equal(found[:, 1], parity.normalised(clips[:, 1], "NCTHW", transform))


def test_compare_gives_difference_size_and_cosine():
    figures = parity.compare(LOGITS, LOGITS + np.float32(0.5), "reference")
    assert figures.max_abs_diff == pytest.approx(0.5, abs=1e-6)
    assert (figures.max_abs, figures.clips) == (5.0, 4)
    assert 0.9 < figures.cosine < 1.0
    assert parity.compare(np.zeros((1, 8)), np.zeros((1, 8)), "reference").cosine == 1.0


def test_other_shapes_are_refused():
    with pytest.raises(ShortfallError, match=r"shape \(3, 8\), reference gives \(4, 8\)"):
        parity.compare(LOGITS, LOGITS[:3], "reference")


@pytest.mark.parametrize(
    ("graph", "limit", "passes"),
    [
        (LOGITS, 0.0, True),
        (LOGITS + np.float32(4e-4), 1e-4, True),  # relative to the largest logit, 5
        (LOGITS + np.float32(6e-4), 1e-4, False),
        (LOGITS * np.float32(np.nan), 1e-4, False),
        (LOGITS[:, ::-1], 100.0, False),  # the cosine decides
    ],
)
def test_gate_needs_both_figures(graph, limit, passes):
    figures = parity.compare(LOGITS, graph, "reference")
    assert gate.within(figures, limit) is passes
    if not passes:
        with pytest.raises(ShortfallError, match="differs from reference by"):
            gate.check(figures, limit, "model.onnx")


def test_small_logits_are_judged_absolutely():
    assert gate.within(parity.compare(LOGITS / 1000, LOGITS / 1000 + 9e-5, "reference"), 1e-4) is False
    figures = parity.compare(LOGITS / 10, LOGITS / 10 + np.float32(9e-5), "reference")
    assert figures.max_abs < 1 and gate.within(figures, 1e-4)


def test_network_that_gives_the_same_for_all_clips_is_told():
    rows = np.random.default_rng(0).normal(size=(4, 8))
    assert not parity.compare(rows, rows, "it").dead
    assert parity.compare(np.zeros((4, 8)), np.zeros((4, 8)), "it").dead
    same = np.repeat(rows[:1], 4, axis=0)
    assert parity.compare(same, same, "it").dead
