"""Contrasts by hand: logs, seeds, what they share, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from navforge.core.errors import DataError
from navforge.statistics import intervals
from navforge.statistics.contrasts import Runs, errors, estimate, log_sums, welch

LOGS = np.array(["a", "b", "b", "c", "c", "c", "d"])


def runs(*rows: object, trained: bool = True) -> Runs:
    return Runs(values=np.array(rows, dtype=np.float64), trained=trained)


def test_without_seeds_it_is_the_interval_over_logs_of_paired_differences() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.uniform(size=(2, 7))
    known = intervals.over_clusters(first - second, LOGS)
    found = estimate([runs(first, trained=False), runs(second, trained=False)], LOGS)
    assert (found.value, found.low, found.high) == pytest.approx((known.mean, known.low, known.high), abs=1e-9)
    assert (found.scenes, found.logs, found.seeds, found.one_seed) == (7, 4, (1, 1), False)
    assert found.errors is not None and found.errors.seed_variance == 0


def test_seeds_alone_give_students_interval_of_their_means() -> None:
    """Seeds that shift every scene alike: means 1, 2, 3, nothing from logs: 2 +- 4.302653 / sqrt(3)."""
    found = estimate([runs(*(np.full(7, level) for level in (1.0, 2.0, 3.0)))], LOGS, (1.0,))
    assert found.errors is not None and found.errors.log_variance == pytest.approx(0.0, abs=1e-12)
    assert found.value == pytest.approx(2.0)
    assert found.high == pytest.approx(2 + t.ppf(0.975, 2) / 3**0.5, rel=1e-6)


def test_seeds_of_two_planners_add_up_as_welchs() -> None:
    """Means 0 2 (variance 2 / 2) and 0 0 3 (variance 3 / 3): error sqrt(2), df = 2^2 / (1 / 1 + 1 / 2)."""
    first = runs(*(np.full(7, level) for level in (0.0, 2.0)))
    second = runs(*(np.full(7, level) for level in (0.0, 0.0, 3.0)))
    found = estimate([first, second], LOGS)
    assert found.errors is not None
    assert found.errors.seed_variance == pytest.approx(2.0)
    assert found.errors.seed_df == pytest.approx(4 / 1.5)


def test_what_a_log_and_a_seed_do_together_counts_once() -> None:
    """No effect of seeds, only noise in each log: the seeds' means vary by it, and little is left as their part."""
    rng = np.random.default_rng(1)
    sizes = np.resize([5, 9, 13], 30)
    sums = [rng.normal(size=(4000, 3, 30)) * sizes for _ in range(2)]
    found = errors(sums, sizes, (1.0, -1.0), (True, True))
    variance = found.value.var()
    assert np.mean(found.log_variance) == pytest.approx(variance, rel=0.1)
    raw = sum(((s.sum(-1) / sizes.sum()).var(-1, ddof=1) / 3).mean() for s in sums)
    assert raw == pytest.approx(variance, rel=0.1)
    assert np.mean(found.seed_variance) < 0.45 * raw  # all that stays is cut off at 0


def test_pairing_by_scene_removes_what_planners_share() -> None:
    rng = np.random.default_rng(2)
    hard = rng.uniform(size=7)
    first = runs(*(hard + 0.1 + shift for shift in (-0.01, 0.0, 0.01)))
    second = runs(*(hard + shift for shift in (-0.01, 0.0, 0.01)))
    found = estimate([first, second], LOGS)
    assert found.value == pytest.approx(0.1)
    assert found.low is not None and found.low > 0.07


def test_p_agrees_with_the_interval() -> None:
    rng = np.random.default_rng(3)
    for _ in range(40):
        pair = [Runs(values=0.3 * shift + rng.normal(size=(3, 7))) for shift in (1, 0)]
        found = estimate(pair, LOGS)
        assert found.p is not None and found.low is not None and found.high is not None
        assert (found.p <= 0.05) == (not found.low <= 0 <= found.high)


def test_order_of_scenes_seeds_and_planners_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    values = rng.uniform(size=(2, 3, 7))
    order = rng.permutation(7)
    one = estimate([Runs(values=v) for v in values], LOGS)
    other = estimate([Runs(values=v[::-1, order]) for v in values], LOGS[order])
    assert (other.value, other.low, other.high, other.p) == pytest.approx((one.value, one.low, one.high, one.p))
    turned = estimate([Runs(values=v) for v in values[::-1]], LOGS)
    assert (turned.low, turned.high) == pytest.approx((-one.high, -one.low))  # type: ignore[operator]


def test_one_seed_and_one_log_are_said() -> None:
    found = estimate([runs(np.arange(7.0)), runs(np.zeros(7), np.ones(7))], LOGS)
    assert found.one_seed
    alone = estimate([runs(np.arange(7.0)), runs(np.zeros(7), np.ones(7))], np.full(7, "a"))
    assert (alone.value, alone.low, alone.p, alone.logs) == (2.5, None, None, 1)


def test_sums_over_logs_by_hand() -> None:
    sums, sizes = log_sums([[1.0, 2.0, 3.0, 4.0]], ["b", "a", "b", "c"])
    assert (sums.tolist(), sizes.tolist()) == ([[2.0, 4.0, 4.0]], [1, 2, 1])


def test_welch_of_one_part_is_its_own() -> None:
    assert welch(np.array([3.0, 0.0]), np.array([2.0, 5.0])) == 2.0
    assert welch(np.array([0.0, 0.0]), np.array([2.0, 5.0])) == 1.0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (runs(np.zeros(6)), "with 7 scenes"),
        (runs([*range(6), np.nan]), "not finite"),
        (runs(np.zeros(7), np.ones(7), trained=False), "without seeds"),
    ],
)
def test_rows_that_do_not_fit_are_refused(given: Runs, words: str) -> None:
    with pytest.raises(DataError, match=words):
        estimate([given], LOGS, (1.0,))
