"""Pooled work: every item is accounted for, failures carry their cause, a dead worker is said."""

from __future__ import annotations

import os
import signal

import pytest

from navforge.core import parallel
from navforge.core.errors import NavforgeError


def square(x: int) -> int:
    if x == 3:
        raise ValueError("three is out")
    return x * x


def die(x: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return x


def thread_limits(_: int) -> tuple[str | None, ...]:
    return tuple(os.environ.get(f"{name}_NUM_THREADS") for name in ("OMP", "NUMBA"))


@pytest.mark.parametrize("workers", [1, 2])
def test_failures_are_named_and_the_rest_goes_on(workers: int) -> None:
    outcomes = {o.item: o for o in parallel.run(square, list(range(20)), workers=workers)}
    assert sorted(outcomes) == list(range(20))
    assert [o.result for i, o in sorted(outcomes.items()) if i != 3] == [i * i for i in range(20) if i != 3]
    assert outcomes[3].error == "ValueError: three is out" and not outcomes[3].ok
    assert "in square" in (outcomes[3].traceback or "")


def test_a_killed_worker_is_an_error_not_a_hang() -> None:
    with pytest.raises(NavforgeError, match="out of memory"):
        list(parallel.run(die, [1, 2, 3], workers=2))


def test_workers_run_one_thread_each() -> None:
    assert {o.result for o in parallel.run(thread_limits, [0, 1], workers=2)} == {("1", "1")}


def test_nothing_to_do_is_fine() -> None:
    assert list(parallel.run(square, [])) == []
