from __future__ import annotations

import numpy as np
import pytest

from navforge.geometry.writable import writable


def test_an_array_that_will_do_is_not_copied():
    array = np.arange(6.0).reshape(2, 3)
    assert writable(array) is array


def test_other_arrays_are_copied_with_their_values():
    read_only = np.arange(3.0)
    read_only.flags.writeable = False
    strided, whole, swapped = np.arange(6.0)[::2], np.arange(3), np.arange(3, dtype=">f8")
    transposed = np.arange(6.0).reshape(2, 3).T
    for given in (read_only, strided, whole, swapped, transposed, [1.0, 2.0]):
        taken = writable(given)
        assert taken.flags.carray and taken.dtype == np.float64 and not np.shares_memory(taken, given)
        np.testing.assert_array_equal(taken, given)
    assert writable(whole, np.dtype(np.int64)) is whole


def test_what_is_no_array_of_numbers_is_refused():
    with pytest.raises(ValueError, match="could not convert"):
        writable(np.array(["a"]))
