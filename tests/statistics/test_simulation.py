"""Intervals, verdicts and detectable differences on data sets with a known truth; the benchmark has more."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from navforge.statistics.families import holm
from navforge.statistics.power import detectable, expected_errors
from tests.statistics.field import Field

SETS = 600
"""Share of intervals that hold the truth: standard error 0.9 % at 95 %."""


def field(logs: int, seeds: int, seed_sd: float = 0.65, planners: int = 2) -> Field:
    return Field(logs=logs, seeds=(seeds,) * planners, seed_sds=(seed_sd,) * planners, gains=(0.0,) * planners)


def test_made_up_scores_have_the_truth_and_spreads_they_say() -> None:
    one = Field(logs=60, seeds=(4, 4), seed_sds=(2.0, 0.0), gains=(3.0, 0.0))
    sums = one.draw(np.random.default_rng(0), 500)
    means = [group.sum(-1) / one.sizes.sum() for group in sums]
    assert np.mean(means[0] - means[1]) == pytest.approx(3.0, abs=0.35)
    spread = one.differences(sums).seed_variance
    assert np.mean(spread) == pytest.approx((2.0 * (15 - 3 / 0.92) / 15) ** 2 / 4, rel=0.25)


@pytest.mark.parametrize(("logs", "seeds"), [(4, 3), (20, 2), (136, 3), (136, 5)])
def test_intervals_hold_the_truth(logs: int, seeds: int) -> None:
    one = field(logs, seeds)
    found = one.differences(one.draw(np.random.default_rng(1), SETS))
    assert 0.925 <= np.mean(found.p() > 0.05) <= 0.985


def test_one_seed_hides_what_another_would_score() -> None:
    """The interval over logs alone is then too narrow, and the verdict is `one seed`."""
    one = field(136, 1, seed_sd=0.9)
    found = one.differences(one.draw(np.random.default_rng(2), SETS))
    assert np.mean(found.p() > 0.05) < 0.8


def test_power_is_as_predicted() -> None:
    null = field(136, 3)
    rng = np.random.default_rng(3)
    spread = null.differences(null.draw(rng, SETS)).value.var()
    planned = expected_errors(logs=136, log_sd=0.0, seeds=(3, 3), seed_sds=(0.65, 0.65))
    effect = detectable(dataclasses.replace(planned, log_variance=spread - planned.seed_variance))
    other = dataclasses.replace(null, gains=(effect / 2, -effect / 2))
    found = other.differences(other.draw(rng, SETS))
    assert np.mean((found.p() <= 0.05) & (found.value > 0)) == pytest.approx(0.8, abs=0.065)


def test_a_family_of_equal_planners_seldom_differs() -> None:
    five = field(40, 3, planners=5)
    sums = five.draw(np.random.default_rng(4), SETS)
    p = np.stack([five.differences(sums, planner, 4).p() for planner in range(4)], axis=1)
    assert np.mean([holm(row).min() <= 0.05 for row in p]) <= 0.068
    assert np.mean(p.min(axis=1) <= 0.05) > 0.07  # without the correction
