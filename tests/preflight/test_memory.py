"""Host memory by numbers one can check by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from navforge.core.sizes import GIB
from navforge.preflight.finding import OK, REFUSED, WARNING
from navforge.preflight.memory import (
    HostPlan,
    LoaderCost,
    check_memory,
    check_shared_memory,
    in_flight_bytes,
    most_workers,
    node_bytes,
)

COST = LoaderCost(rank_bytes=4 * GIB, worker_bytes=2 * GIB, example_bytes=1 << 20, examples_per_s=50.0)
PLAN = HostPlan(ranks=4, workers=8, loaders=2, batch_size=32)


def test_the_sum_of_a_node() -> None:
    assert PLAN.processes == 64
    assert in_flight_bytes(COST, PLAN) == 4 * (2 * 8 * 2 + 1) * 32 << 20
    assert node_bytes(COST, PLAN) == 4 * 4 * GIB + 64 * 2 * GIB + in_flight_bytes(COST, PLAN)
    assert node_bytes(COST, replace(PLAN, workers=0)) == 16 * GIB


def test_a_node_that_is_too_small_names_the_workers_that_fit() -> None:
    (found,) = check_memory(COST, PLAN, 100 * GIB, "free memory")
    assert found.level == REFUSED and "64 loader workers (8 x 2 loaders x 4)" in found.message
    fits = most_workers(COST, PLAN, 100 * GIB)
    assert found.remedy == f"train.loader_workers={fits} fits" and 0 < fits < 8
    (at_most,) = check_memory(COST, replace(PLAN, workers=fits), 100 * GIB, "free memory")
    (one_more,) = check_memory(COST, replace(PLAN, workers=fits + 1), 100 * GIB, "free memory")
    assert (at_most.level, one_more.level) == (OK, REFUSED)


@pytest.mark.parametrize(("share", "level"), [(0.899, OK), (0.901, REFUSED)])
def test_a_tenth_of_the_memory_is_kept_free(share: float, level: str) -> None:
    needed = node_bytes(COST, PLAN)
    (host,) = check_memory(COST, PLAN, round(needed / share), "free memory")
    (shared,) = check_shared_memory(COST, PLAN, round(in_flight_bytes(COST, PLAN) / share))
    assert (host.level, shared.level) == (level, level)


def test_when_no_number_of_workers_helps_the_remedy_is_another() -> None:
    (found,) = check_memory(COST, PLAN, 10 * GIB, "free memory")
    assert found.level == REFUSED and "loader_workers" not in found.remedy and "devices=" in found.remedy


def test_unknown_memory_is_a_warning_with_the_sum() -> None:
    (found,) = check_memory(COST, PLAN, None, "")
    assert found.level == WARNING and "GiB per node" in found.message


@pytest.mark.parametrize(
    ("free", "workers", "level"),
    [(64 << 20, 8, REFUSED), (100 * GIB, 8, OK), (64 << 20, 0, OK), (None, 8, WARNING)],
)
def test_shared_memory(free: int | None, workers: int, level: str) -> None:
    (found,) = check_shared_memory(COST, replace(PLAN, workers=workers), free)
    assert found.level == level
