"""Intervals against closed forms and known data."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import t

from navforge.core.errors import DataError
from navforge.statistics import intervals


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def width(interval: intervals.Interval) -> float:
    assert interval.low is not None and interval.high is not None
    return interval.high - interval.low


def test_bootstrap_agrees_with_the_enumerated_distribution() -> None:
    values = np.array([0.0, 0.1, 1.0, 0.4])
    every = np.array([np.mean(draw) for draw in itertools.product(values, repeat=4)])
    for level in (0.5, 0.8, 0.95):
        interval = intervals.bootstrap(values, generator(), level=level, resamples=100_000)
        low, high = np.quantile(every, [0.5 - level / 2, 0.5 + level / 2])
        assert interval.low == pytest.approx(low, abs=0.026)  # one step of the discrete distribution is 0.025
        assert interval.high == pytest.approx(high, abs=0.026)


def test_bootstrap_of_many_scenes_tends_to_the_normal_interval() -> None:
    values = generator(1).beta(5, 2, size=4000)
    drawn, reach = intervals.bootstrap(values, generator(2)), 1.959964 * values.std(ddof=1) / 4000**0.5
    assert width(drawn) == pytest.approx(2 * reach, rel=0.04)
    assert drawn.low == pytest.approx(values.mean() - reach, abs=0.05 * reach)


def test_clusters_of_one_size_give_students_interval_of_their_means() -> None:
    """Three logs with means 0.1, 0.2, 0.3: 0.2 +- 4.302653 * 0.1 / sqrt(3)."""
    interval = intervals.over_clusters([0.0, 0.2, 0.1, 0.3, 0.3, 0.3], ["a", "a", "b", "b", "c", "c"])
    assert (interval.mean, interval.scenes, interval.clusters) == (pytest.approx(0.2), 6, 3)
    assert interval.low == pytest.approx(0.2 - 0.2484138, abs=1e-6)
    assert interval.high == pytest.approx(0.2 + 0.2484138, abs=1e-6)


def test_clusters_count_by_their_size() -> None:
    """1 | 0 0 0: without the first log the mean is 0, without the second 1: s^2 = (0.25^2 + 0.75^2) / 2."""
    interval = intervals.over_clusters([1.0, 0.0, 0.0, 0.0], ["a", "b", "b", "b"])
    assert interval.mean == 0.25
    assert interval.high == pytest.approx(0.25 + 12.7062047 * 0.3125**0.5, abs=1e-5)


def test_few_clusters_give_a_wider_interval_than_many_of_the_same_spread() -> None:
    """The standard error shrinks with the root of the number of logs; beyond it, Student's quantile falls to 1.96."""
    quantiles = {2: 12.706205, 3: 4.302653, 5: 2.776445, 10: 2.262157, 40: 2.022691, 1000: 1.962341}
    for count, quantile in quantiles.items():
        per_log = generator(count).normal(size=count)
        error = per_log.std(ddof=1) / count**0.5
        interval = intervals.over_clusters(np.repeat(per_log, 7), np.repeat(np.arange(count), 7))
        assert width(interval) / 2 / error == pytest.approx(quantile, abs=1e-5)


def test_clusters_of_equal_scenes_widen_by_root_of_their_size() -> None:
    per_log = generator(3).uniform(size=400)
    values, logs = np.repeat(per_log, 9), np.repeat(np.arange(400), 9)
    clustered = intervals.over_clusters(values, logs)
    assert (clustered.clusters, clustered.scenes) == (400, 3600)
    assert width(clustered) == pytest.approx(3 * width(intervals.bootstrap(values, generator(4))), rel=0.06)


def test_one_cluster_bounds_nothing() -> None:
    interval = intervals.over_clusters([0.2, 0.4], ["a", "a"])
    assert interval.low is None and interval.high is None
    assert intervals.bootstrap([0.5], generator()).high is None


def test_pairing_removes_what_both_share() -> None:
    difficulty = generator(7).uniform(size=500)
    first, second = difficulty + 0.01, difficulty + generator(8).normal(scale=1e-3, size=500)
    paired = intervals.bootstrap(intervals.paired(first, second), generator(9))
    assert paired.mean == pytest.approx(0.01, abs=2e-4)
    assert paired.low is not None
    assert paired.low > 0.009
    assert width(intervals.bootstrap(first, generator(9))) > 50 * width(paired)


def test_same_generator_state_same_interval() -> None:
    values = generator(10).uniform(size=31)
    assert intervals.bootstrap(values, generator(11)) == intervals.bootstrap(values, generator(11))
    assert intervals.bootstrap(values, generator(11)) != intervals.bootstrap(values, generator(12))


@pytest.mark.parametrize("count", [4, 10, 40])
def test_coverage_over_correlated_logs(count: int) -> None:
    """95 % intervals over logs of unequal sizes hold the true mean about 95 times in 100; over scenes far less."""
    rng = generator(13)
    sizes = np.resize([6, 10, 14], count)
    logs = np.repeat(np.arange(count), sizes)
    held = {"scenes": 0, "logs": 0}
    for _ in range(300):
        values = rng.normal(size=count)[logs] + 0.3 * rng.normal(size=logs.size)
        for name, interval in (
            ("scenes", intervals.bootstrap(values, rng, resamples=300)),
            ("logs", intervals.over_clusters(values, logs)),
        ):
            assert interval.low is not None and interval.high is not None
            held[name] += interval.low <= 0 <= interval.high
    assert 0.91 < held["logs"] / 300 <= 0.99
    assert held["scenes"] / 300 < 0.7


@pytest.mark.parametrize("values", [[], [[1.0]], [1.0, float("nan")]])
def test_values_that_are_no_list_of_numbers_are_refused(values: list[float]) -> None:
    with pytest.raises(DataError):
        intervals.bootstrap(values, generator())
    with pytest.raises(DataError):
        intervals.over_clusters(values, ["a"] * len(values))


def test_unequal_pairs_are_refused() -> None:
    with pytest.raises(DataError, match="2 and 3"):
        intervals.paired([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(DataError, match="one label per value"):
        intervals.over_clusters([1.0, 2.0], ["a"])


def test_the_error_leaves_out_each_cluster_whole() -> None:
    values, logs = [0.9, 0.1, 0.4, 0.8, 0.6, 0.5], ["a", "b", "b", "c", "c", "c"]
    interval = intervals.over_clusters(values, logs)
    mean = sum(values) / 6
    without = [(sum(values) - 0.9) / 5, (sum(values) - 0.5) / 4, (sum(values) - 1.9) / 3]
    error = math.sqrt(2 / 3 * sum((one - mean) ** 2 for one in without))
    assert interval.high == pytest.approx(mean + t.ppf(0.975, 2) * error, rel=1e-12)


def test_columns_drawn_together_have_the_intervals_of_each_alone() -> None:
    columns = generator(5).normal(size=(3, 200))
    together = intervals.bootstrap_each(list(columns), generator(6), resamples=500)
    assert together == [intervals.bootstrap(column, generator(6), resamples=500) for column in columns]
    with pytest.raises(DataError, match="200, 199 values; give one length"):
        intervals.bootstrap_each([columns[0], columns[1, 1:]], generator())
