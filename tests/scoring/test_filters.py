from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import savgol_filter

from navforge.scoring.filters import savgol_matrix, savgol_rows


@pytest.mark.parametrize("count", [36, 41, 55, 56])
@pytest.mark.parametrize(
    ("window", "polynomial", "derivative"), [(8, 2, 0), (15, 2, 1), (5, 2, 1), (5, 3, 2), (5, 2, 2), (60, 2, 0)]
)
def test_equals_scipy(count: int, window: int, polynomial: int, derivative: int) -> None:
    series = np.random.default_rng(count).normal(size=count).cumsum()
    expected = savgol_filter(series, min(window, count), polynomial, deriv=derivative, delta=0.1)
    np.testing.assert_allclose(savgol_matrix(count, window, polynomial, derivative, 0.1) @ series, expected, atol=1e-9)


def test_parabolas_pass_unchanged() -> None:
    t = np.arange(41) * 0.1
    np.testing.assert_allclose(savgol_matrix(41, 15, 2) @ (t * t), t * t, atol=1e-12)
    np.testing.assert_allclose(savgol_matrix(41, 15, 2, 1, 0.1) @ (t * t), 2 * t, atol=1e-10)


def test_rows_cannot_be_changed_by_a_caller() -> None:
    start, weights = savgol_rows(41, 8, 2)
    with pytest.raises(ValueError, match="read-only"):
        start[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        weights[0, 0] = 1
