"""Reducing eight rows of eight numbers at once gives what reducing each row does."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.geometry.compiled import kernel
from navforge.geometry.lane_reductions import row_maxima, row_minima
from navforge.geometry.lanes import lanes_at


@kernel
def reduce(array, i, first, out):
    out[0, lanes_at(0)] = row_minima(array, i, first)
    out[1, lanes_at(0)] = row_maxima(array, i, first)


@pytest.mark.parametrize("first", [0, 8])
def test_rows_are_reduced_in_order(first: int) -> None:
    rng = np.random.default_rng(first)
    array = rng.normal(size=(3, 16, 8))
    array[1, 4] = np.inf
    array[1, 9, 5] = -np.inf
    out = np.empty((2, 8))
    reduce(array, 1, first, out)
    np.testing.assert_array_equal(out[0], array[1, first : first + 8].min(axis=1))
    np.testing.assert_array_equal(out[1], array[1, first : first + 8].max(axis=1))
