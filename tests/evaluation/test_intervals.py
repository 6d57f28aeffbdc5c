"""Intervals against closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.evaluation import intervals


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_normal_interval_by_hand() -> None:
    interval = intervals.normal([1.0, 2.0, 3.0, 4.0])
    # s = sqrt(5/3), z = 1.959964: 2.5 +- 1.265151
    assert interval.mean == 2.5
    assert interval.low == pytest.approx(2.5 - 1.2651513, abs=1e-6)
    assert interval.high == pytest.approx(2.5 + 1.2651513, abs=1e-6)
    assert interval.scenes == interval.clusters == 4


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
    plain, drawn = intervals.normal(values), intervals.bootstrap(values, generator(2))
    assert drawn.mean == plain.mean
    assert drawn.half_width == pytest.approx(plain.half_width, rel=0.04)
    assert drawn.low == pytest.approx(plain.low, abs=0.05 * (plain.half_width or 0))


def test_clusters_of_equal_scenes_widen_by_root_of_their_size() -> None:
    per_log = generator(3).uniform(size=400)
    values, logs = np.repeat(per_log, 9), np.repeat(np.arange(400), 9)
    scenes = intervals.bootstrap(values, generator(4))
    clustered = intervals.bootstrap(values, generator(4), clusters=logs)
    assert clustered.clusters == 400
    assert clustered.scenes == 3600
    assert clustered.half_width == pytest.approx(3 * (scenes.half_width or 0), rel=0.06)


def test_singleton_clusters_are_the_plain_bootstrap() -> None:
    values = generator(5).uniform(size=50)
    names = np.array([f"log{i:03d}" for i in range(50)])
    assert intervals.bootstrap(values, generator(6), clusters=names) == intervals.bootstrap(values, generator(6))


def test_clusters_count_by_their_size() -> None:
    """Two logs, 1 scene of score 1 and 3 of score 0: a draw is (1,1), (1,2), (2,1), (2,2): means 1, 1/4, 1/4, 0."""
    interval = intervals.bootstrap(
        [1.0, 0.0, 0.0, 0.0], generator(), clusters=["a", "b", "b", "b"], level=0.4, resamples=4000
    )
    assert interval.mean == 0.25
    assert interval.low == interval.high == 0.25
    wide = intervals.bootstrap([1.0, 0.0, 0.0, 0.0], generator(), clusters=["a", "b", "b", "b"], resamples=4000)
    assert (wide.low, wide.high) == (0.0, 1.0)


def test_one_cluster_bounds_nothing() -> None:
    interval = intervals.bootstrap([0.2, 0.4], generator(), clusters=["a", "a"])
    assert interval.low is None
    assert interval.half_width is None
    assert intervals.normal([0.5]).high is None


def test_pairing_removes_what_both_share() -> None:
    difficulty = generator(7).uniform(size=500)
    first, second = difficulty + 0.01, difficulty + generator(8).normal(scale=1e-3, size=500)
    paired = intervals.paired_difference(first, second, generator(9))
    assert paired.mean == pytest.approx(0.01, abs=2e-4)
    assert paired.low is not None
    assert paired.low > 0.009
    single = intervals.normal(first)
    assert (single.half_width or 0) > 50 * (paired.half_width or 0)


def test_same_generator_state_same_interval() -> None:
    values = generator(10).uniform(size=31)
    assert intervals.bootstrap(values, generator(11)) == intervals.bootstrap(values, generator(11))
    assert intervals.bootstrap(values, generator(11)) != intervals.bootstrap(values, generator(12))


def test_coverage_of_clustered_interval() -> None:
    """95 % intervals over 40 correlated logs hold the true mean about 95 times in 100; the plain one far less."""
    rng = generator(13)
    held = {"plain": 0, "clustered": 0}
    for _ in range(200):
        logs = np.repeat(np.arange(40), 10)
        values = rng.normal(size=40)[logs] + 0.3 * rng.normal(size=400)
        for name, clusters in (("plain", None), ("clustered", logs)):
            interval = intervals.bootstrap(values, rng, clusters=clusters, resamples=500)
            assert interval.low is not None
            assert interval.high is not None
            held[name] += interval.low <= 0 <= interval.high
    assert 0.89 < held["clustered"] / 200 < 0.98
    assert held["plain"] / 200 < 0.7


@pytest.mark.parametrize("values", [[], [[1.0]], [1.0, float("nan")]])
def test_values_that_are_no_list_of_numbers_are_refused(values: list[float]) -> None:
    with pytest.raises(DataError):
        intervals.normal(values)


def test_unequal_pairs_are_refused() -> None:
    with pytest.raises(DataError, match="2 and 3"):
        intervals.paired_difference([1.0, 2.0], [1.0, 2.0, 3.0], generator())
    with pytest.raises(DataError, match="one label per value"):
        intervals.bootstrap([1.0, 2.0], generator(), clusters=["a"])
