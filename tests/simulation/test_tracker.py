from __future__ import annotations

import numpy as np

from navforge.simulation.kernels.rollout import BEFORE, SCALE, TWO_BEFORE
from navforge.simulation.tracker import speed_factors
from tests.simulation.reference import profiles
from tests.simulation.test_rollout import random_plans


def solve(displacement: np.ndarray) -> np.ndarray:
    """Substitution with the factors, as a product of matrices."""
    factors = speed_factors()
    lower = np.eye(40) + np.diag(factors[BEFORE, 1:], -1) + np.diag(factors[TWO_BEFORE, 2:], -2)
    return np.linalg.solve(lower.T, factors[SCALE] * np.linalg.solve(lower, displacement))


def test_factors_solve_the_least_squares_fit() -> None:
    for plan in random_plans(np.random.default_rng(3), 5):
        displacement = (np.diff(plan[:, :2], axis=0) * np.stack([np.cos(plan[:-1, 2]), np.sin(plan[:-1, 2])], 1)).sum(1)
        np.testing.assert_allclose(solve(displacement), profiles(plan)[0], atol=1e-9)


def test_only_the_last_row_reaches_two_back() -> None:
    """The kernel relies on it."""
    assert np.flatnonzero(speed_factors()[TWO_BEFORE]).tolist() == [39]
    assert speed_factors()[BEFORE, 0] == 0.0


def test_factors_are_well_conditioned() -> None:
    factors = speed_factors()
    assert np.abs(factors[BEFORE]).max() < 1.0
    assert factors[SCALE].max() / factors[SCALE].min() < 10.0
