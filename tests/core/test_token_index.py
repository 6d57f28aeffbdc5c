from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navforge.core.errors import DataError
from navforge.core.token_index import ABSENT, TokenIndex

names = st.lists(st.text("0123456789abcdef", min_size=1, max_size=17), unique=True, max_size=30)


def index_of(tokens: list[str]) -> TokenIndex:
    return TokenIndex(np.array([token.encode() for token in tokens], np.bytes_))


@given(names, names)
def test_rows_are_those_of_a_list(held: list[str], asked: list[str]) -> None:
    expected = [held.index(token) if token in held else ABSENT for token in asked]
    assert index_of(held).find(asked).tolist() == expected


def test_missing_scenes_are_counted_and_the_first_is_named() -> None:
    index = index_of(["b", "a"])
    assert index.require(["a", "b", "a"], where="the store", remedy="make it").tolist() == [1, 0, 1]
    with pytest.raises(DataError, match=r"^the store lacks 2 of 3 scenes, x for one; make it$"):
        index.require(["x", "a", "c"], where="the store", remedy="make it")
