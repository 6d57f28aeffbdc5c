from __future__ import annotations

import pickle
from dataclasses import dataclass

import pytest

from navforge.metric_cache.deferred import Deferrable, defer


@dataclass(frozen=True)
class Pair(Deferrable):
    left: int
    right: int


def test_what_is_deferred_is_made_once_when_first_read():
    made = []

    def make(_: None) -> Pair:
        made.append(Pair(1, 2))
        return made[-1]

    pair = defer(Pair, make)
    assert not made
    assert (pair.right, pair.left) == (2, 1) and pair == Pair(1, 2) and len(made) == 1
    with pytest.raises(AttributeError, match="Pair has no attribute 'middle'"):
        _ = pair.middle


def test_two_threads_may_read_it_first():
    """One reads while the other has just made it, between looking for the field and asking for its maker."""

    class Late(dict):
        def get(self, key, default=None):  # type: ignore[no-untyped-def]
            maker = super().pop(key, default)
            self.update(maker(None).__getstate__())
            return None

    pair = defer(Pair, lambda _: Pair(5, 6))
    maker = pair.__dict__["_make"]
    pair.__dict__.clear()
    object.__setattr__(pair, "__dict__", Late(_make=maker))
    assert pair.left == 5


def test_what_is_deferred_is_pickled_whole():
    assert pickle.loads(pickle.dumps(defer(Pair, lambda _: Pair(3, 4)))) == Pair(3, 4)


def test_errors_are_raised_by_every_read():
    def make(_: None) -> Pair:
        raise ValueError("no such pair")

    pair = defer(Pair, make)
    for _ in range(2):
        with pytest.raises(ValueError, match="no such pair"):
            _ = pair.left
