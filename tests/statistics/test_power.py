"""Detectable differences against closed forms and draws of normal data."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import nct, t

from navforge.core.errors import ConfigError
from navforge.statistics.power import detectable, expected_errors, power


def test_logs_alone_give_the_power_of_students_test() -> None:
    found = expected_errors(logs=10, log_sd=2.0, seeds=(1, 1), seed_sds=(0.0, 0.0))
    far = t.ppf(0.975, 9)

    def known(difference: float) -> float:
        shift = difference / (2 / 10**0.5)
        return float(nct.sf(far, 9, shift) + nct.cdf(-far, 9, shift))

    assert power(1.5, found) == pytest.approx(known(1.5), abs=0.01)
    assert power(0.0, found) == pytest.approx(0.05, abs=0.005)
    assert detectable(found) == pytest.approx(brentq(lambda d: known(d) - 0.8, 0.1, 4), rel=0.01)


def test_power_is_met_by_draws_of_both_parts() -> None:
    found = expected_errors(logs=20, log_sd=3.0, seeds=(3, 4), seed_sds=(0.6, 0.6))
    effect = detectable(found)
    rng, count = np.random.default_rng(0), 4000
    own = found.seed_parts[:, None] * np.stack([rng.chisquare(df, count) / df for df in (2, 3)])
    drawn = dataclasses.replace(
        found,
        value=effect + found.error * rng.normal(size=count),
        log_variance=found.log_variance * rng.chisquare(19, count) / 19,
        seed_variance=own.sum(axis=0),
        seed_parts=own,
    )
    assert found.seed_variance == pytest.approx(0.36 / 3 + 0.36 / 4)
    assert np.mean(drawn.p() <= 0.05) == pytest.approx(0.8, abs=0.03)


def test_more_logs_and_seeds_detect_less_and_families_more() -> None:
    def effect(logs: int, seeds: int, level: float = 0.95) -> float:
        found = expected_errors(logs=logs, log_sd=5.4, seeds=(seeds, seeds), seed_sds=(0.65, 0.65))
        return detectable(found, level=level)

    assert effect(136, 5) < effect(136, 3) < effect(136, 2)
    assert effect(136, 3) < effect(20, 3) < effect(4, 3)
    assert effect(136, 3, level=1 - 0.05 / 4) > effect(136, 3)


def test_nothing_varies() -> None:
    found = expected_errors(logs=3, log_sd=0.0, seeds=(3, 3), seed_sds=(0.0, 0.0))
    assert detectable(found) == 0.0
    assert (power(0.1, found), power(0.0, found)) == (1.0, 0.0)


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(ConfigError, match="two logs"):
        expected_errors(logs=1, log_sd=1.0, seeds=(3, 3), seed_sds=(1.0, 1.0))


def test_measured_errors_serve_as_assumed_ones() -> None:
    found = expected_errors(logs=30, log_sd=2.0, seeds=(3, 3), seed_sds=(0.5, 0.5))
    assert detectable(dataclasses.replace(found, value=np.array(7.0))) == detectable(found)
