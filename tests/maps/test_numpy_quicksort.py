"""The choice among equally near features."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.maps.numpy_quicksort import first_in_quicksort


def test_is_always_a_smallest_value():
    random = np.random.default_rng(0)
    for size in (1, 2, 15, 16, 17, 18, 40, 300, 5000):
        for levels in (1, 2, 7, size):
            values = random.integers(0, levels, size).astype(float)
            assert values[first_in_quicksort(values)] == values.min()


def test_short_arrays_are_sorted_stably():
    random = np.random.default_rng(1)
    for size in range(1, 17):
        values = random.integers(0, 3, size).astype(float)
        assert first_in_quicksort(values) == np.argmin(values)


@pytest.mark.parametrize("size", [100])
def test_without_ties_it_is_the_minimum(size):
    values = np.random.default_rng(2).permutation(size).astype(float)
    assert first_in_quicksort(values) == np.argmin(values)


@pytest.mark.parametrize(
    ("size", "step", "levels", "first"),
    [
        (17, 5, 3, 0),
        (40, 7, 4, 19),
        (85, 11, 6, 15),
        (85, 13, 5, 84),
        (99, 17, 9, 48),
        (153, 29, 12, 93),
        (1000, 77, 9, 399),
    ],
)
def test_ties_break_as_in_numpy_1_23(size, step, levels, first):
    # Made with numpy 1.23.5: ((np.arange(size) * step + 3) % levels).astype(float).argsort()[0]
    assert first_in_quicksort(((np.arange(size) * step + 3) % levels).astype(float)) == first
