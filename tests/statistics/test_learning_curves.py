"""Learning curves that are known."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.statistics.contrasts import Runs
from navforge.statistics.learning_curves import LearningCurve, area, area_difference, band, labels_needed

LABELS = (1000.0, 2000.0, 4000.0, 8000.0)
LOGS = np.repeat(np.arange(12), 5)


def curve(*means: float, noise: float = 0.0, seeds: int = 3, seed: int = 0) -> LearningCurve:
    rng = np.random.default_rng(seed)
    hard = 10 * rng.normal(size=60) * (noise > 0)
    levels = tuple(
        Runs(values=mean + hard + noise * rng.normal(size=(seeds, 1)) + noise * rng.normal(size=(seeds, 60)))
        for mean in means
    )
    return LearningCurve(labels=LABELS[: len(means)], levels=levels)


def test_area_is_the_mean_height_over_the_logarithm() -> None:
    """Steps of one doubling each: (50 + 60) / 2, (60 + 80) / 2, (80 + 90) / 2."""
    assert area(curve(50, 60, 80, 90), LOGS).value == pytest.approx((55 + 70 + 85) / 3)


def test_areas_are_compared_by_scene() -> None:
    first, second = curve(52, 62, 82, 92, noise=0.2, seed=1), curve(50, 60, 80, 90, noise=0.2, seed=1)
    difference = area_difference(first, second, LOGS)
    assert difference.value == pytest.approx(2.0)
    assert difference.seeds == (3,) * 8
    apart = area(first, LOGS)
    assert difference.high is not None and apart.high is not None
    assert difference.high - difference.value < 0.3 * (apart.high - apart.value)
    with pytest.raises(DataError, match="the same are needed"):
        area_difference(first, curve(50, 60), LOGS)


def test_labels_needed_lie_on_the_line_over_the_logarithm() -> None:
    found = labels_needed(curve(50, 60, 80, 90), 70.0, LOGS)
    assert found.labels == pytest.approx(2000 * 2**0.5, rel=1e-6)
    assert (found.low, found.high) == (pytest.approx(found.labels, rel=0.02), pytest.approx(found.labels, rel=0.02))


def test_labels_needed_have_an_interval() -> None:
    noisy = curve(50, 60, 80, 90, noise=1.0)
    found = labels_needed(noisy, 70.0, LOGS)
    assert found.low is not None and found.labels is not None and found.high is not None
    assert 1000 < found.low < found.labels < found.high < 8000
    wider = labels_needed(curve(50, 60, 80, 90, noise=3.0), 70.0, LOGS)
    assert wider.low is None or wider.low < found.low


def test_a_score_outside_the_curve() -> None:
    above = labels_needed(curve(50, 60, 80, 90), 95.0, LOGS)
    assert (above.labels, above.high) == (None, None)
    below = labels_needed(curve(50, 60, 80, 90), 40.0, LOGS)
    assert (below.labels, below.low, below.high) == (pytest.approx(1000), None, pytest.approx(1000))
    assert labels_needed(curve(50, 60, 80, 90, seeds=1), 70.0, LOGS).one_seed


@pytest.mark.slow
def test_labels_needed_hold_the_truth() -> None:
    """In 95 of 100 cases; with 40 cases hardly ever in fewer than 34."""
    held = 0
    for seed in range(40):
        found = labels_needed(curve(50, 60, 80, 90, noise=2.0, seed=seed), 70.0, LOGS)
        held += (found.low or 0) <= 2000 * 2**0.5 <= (found.high or np.inf)
    assert held >= 34


def test_band_has_an_interval_per_level() -> None:
    levels = band(curve(50, 60, noise=1.0), LOGS)
    assert [one.value for one in levels] == pytest.approx([50, 60], abs=5)
    assert all(one.low is not None for one in levels)


@pytest.mark.parametrize("labels", [(1000.0,), (2000.0, 1000.0), (0.0, 1000.0), (1000.0, 1000.0)])
def test_labels_that_do_not_rise_are_refused(labels: tuple[float, ...]) -> None:
    levels = tuple(Runs(values=np.zeros((2, 60))) for _ in labels)
    with pytest.raises(DataError, match="labels"):
        LearningCurve(labels=labels, levels=levels)
