"""Small score tables with known contents."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from navforge.evaluation.tables import ScoreTable
from tests.evaluation.made import small_table

MakeTable = Callable[..., ScoreTable]


@pytest.fixture
def make_table() -> MakeTable:
    """See `made.small_table`."""
    return small_table
