from __future__ import annotations

import pytest

from clip2om.benchmarks.row import AT_LEAST, AT_MOST, Growth, Row, in_turn, spread


def test_the_figure_is_the_median_of_neighbouring_ratios() -> None:
    row = Row("infer", "against x", "clips/s", (10.0, 30.0, 12.0), (10.0, 20.0, 10.0), 1.2, AT_LEAST)
    assert row.figures == (1.0, 1.5, 1.2)
    assert row.figure == 1.2
    assert row.met


def test_without_a_baseline_the_samples_are_the_figure() -> None:
    row = Row("start-up", "--help", "s", (0.2, 0.4, 0.5), (), 0.3, AT_MOST)
    assert row.figure == 0.4
    assert not row.met


@pytest.mark.parametrize(("power", "factor"), [(0.0, 3.0), (1.0, 0.5), (2.0, 1.0)])
def test_exponent_of_a_power_law(power: float, factor: float) -> None:
    videos = (4, 8, 16, 32)
    growth = Growth("stage", "s", videos, tuple(factor * count**power for count in videos))
    assert growth.exponent == pytest.approx(power, abs=1e-12)


def test_sides_are_measured_in_turn() -> None:
    order = []

    def measure(side: str) -> float:
        order.append(side)
        return float(len(order))

    ours, baseline = in_turn([lambda: measure("ours"), lambda: measure("baseline")], 3)
    assert order == ["ours", "baseline", "baseline", "ours", "ours", "baseline"]
    assert ours == (1.0, 4.0, 5.0)
    assert baseline == (2.0, 3.0, 6.0)
    assert spread(ours) == (4.0, 1.0, 5.0)
