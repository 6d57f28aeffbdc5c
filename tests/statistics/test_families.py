"""Holm's correction, the exact test over logs, and the four words."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from scipy.stats import permutation_test

from navforge.core.errors import DataError
from navforge.statistics.contrasts import Runs, estimate
from navforge.statistics.families import Verdict, holm, sign_flip, verdict


def test_holm_by_hand() -> None:
    """Sorted 0.01 0.02 0.03 0.04 times 4 3 2 1 is 0.04 0.06 0.06 0.04, and never less than the one before."""
    assert holm([0.03, 0.01, 0.04, 0.02]).tolist() == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        holm([float("nan")])


def test_one_log_alone_shows_nothing() -> None:
    assert sign_flip([3.0]) == 1.0


def test_sign_flips_are_counted_exactly() -> None:
    sums = np.array([1.0, 2.0, -0.5, 4.0, 3.0])
    every = [abs(np.dot(signs, sums)) for signs in itertools.product((1, -1), repeat=5)]
    assert sign_flip(sums) == np.mean(np.array(every) >= abs(sums.sum()) - 1e-12)
    known = permutation_test((sums,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(sums) == pytest.approx(known.pvalue)


def test_sign_flips_of_many_logs_are_drawn() -> None:
    rng = np.random.default_rng(0)
    sums = rng.normal(size=40) + 0.3
    normal = permutation_test((sums,), np.sum, permutation_type="samples", n_resamples=50_000, rng=1)
    assert sign_flip(sums) == pytest.approx(normal.pvalue, abs=0.01)
    assert sign_flip(sums) == sign_flip(sums)
    assert sign_flip(np.ones(40)) == pytest.approx(1 / 20_001)
    assert sign_flip(np.zeros(3)) == 1.0


def test_verdicts() -> None:
    rng = np.random.default_rng(1)
    logs = np.repeat(np.arange(20), 4)
    good, poor = (Runs(values=level + 0.1 * rng.normal(size=(3, 80))) for level in (1.0, 0.0))
    better = estimate([good, poor], logs)
    assert verdict(better, 0.001) is Verdict.BETTER
    assert verdict(estimate([poor, good], logs), 0.001) is Verdict.WORSE
    assert verdict(better, 0.051) is Verdict.NOT_SHOWN
    assert verdict(better, None) is Verdict.NOT_SHOWN
    assert verdict(estimate([poor, poor], logs), 1.0) is Verdict.NOT_SHOWN
    assert verdict(dataclasses.replace(better, one_seed=True), 0.001) is Verdict.ONE_SEED
