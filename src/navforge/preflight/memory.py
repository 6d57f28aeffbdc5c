"""Host memory of a node: ranks, their loader workers, and the batches in flight between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from navforge.core.sizes import write_size
from navforge.preflight.finding import Finding, ok, refused, warning
from navforge.training.ranks.failures import MORE_SHARED_MEMORY

MEMORY, SHARED = "host_memory", "shared_memory"
MARGIN = 0.9
"""Share of a node's memory a job may be planned to take: measured sizes grow by some per cent over hours."""
PREFETCH = 2
"""Batches each loader worker holds ready (torch's default)."""

LOADERS_TOGETHER = 1
"""Loaders of a rank whose workers live at the same time. Those of training end with their epoch, before validation's
begin (`training.loop.loaders`); with workers that persist it would be 2, and validation would double their memory."""


@dataclass(frozen=True, kw_only=True)
class LoaderCost:
    """One rank's loading, measured on the real data set."""

    rank_bytes: int
    """Memory of the rank before the first step: libraries, data set, planner."""
    worker_bytes: int
    """Memory one more loader worker takes after some batches."""
    example_bytes: int
    """Size of one example in a batch."""
    examples_per_s: float
    """What one worker delivers."""


@dataclass(frozen=True, kw_only=True)
class HostPlan:
    """What a node will hold."""

    ranks: int
    workers: int
    """Of one loader."""
    loaders: int
    """Loaders of a rank whose workers are alive at the same time."""
    batch_size: int
    step_bytes: int = 0
    """Memory of a rank's steps over `rank_bytes`: on CPU activations and optimiser, on GPU the host side of CUDA."""

    @property
    def processes(self) -> int:
        """Loader workers on the node."""
        return self.ranks * self.workers * self.loaders


def in_flight_bytes(cost: LoaderCost, plan: HostPlan) -> int:
    """Batches that workers of a node hold in shared memory."""
    per_rank = (PREFETCH * plan.workers * plan.loaders + 1) * plan.batch_size * cost.example_bytes
    return plan.ranks * per_rank if plan.workers else 0


def node_bytes(cost: LoaderCost, plan: HostPlan) -> int:
    """Host memory of all ranks of a node with their workers and the batches in flight."""
    ranks = plan.ranks * (cost.rank_bytes + plan.step_bytes)
    return ranks + plan.processes * cost.worker_bytes + in_flight_bytes(cost, plan)


def most_workers(cost: LoaderCost, plan: HostPlan, memory_bytes: int) -> int:
    """Most workers per loader with which the plan fits into the memory of a node; 0 if none does."""
    room = memory_bytes * MARGIN - plan.ranks * (
        cost.rank_bytes + plan.step_bytes + plan.batch_size * cost.example_bytes
    )
    each = plan.ranks * plan.loaders * (cost.worker_bytes + PREFETCH * plan.batch_size * cost.example_bytes)
    return max(0, int(room // each)) if each else plan.workers


def check_memory(cost: LoaderCost, plan: HostPlan, memory_bytes: int | None, source: str) -> Iterator[Finding]:
    """Workers x ranks x measured memory against the node."""
    needed = node_bytes(cost, plan)
    shown = (
        f"{plan.ranks} rank{'s' * (plan.ranks != 1)} of {write_size(cost.rank_bytes + plan.step_bytes)}"
        f" + {plan.processes} loader workers"
        + (f" ({plan.workers} x {plan.loaders} loaders x {plan.ranks})" if plan.processes else "")
        + f" of {write_size(cost.worker_bytes)}"
        + f" + {write_size(in_flight_bytes(cost, plan))} of batches = {write_size(needed)} per node"
    )
    if memory_bytes is None:
        yield warning(MEMORY, f"{shown}; the node's memory is not known", "#SBATCH --mem=...G says it")
    elif needed > MARGIN * memory_bytes:
        yield refused(
            MEMORY,
            f"{shown}, {write_size(memory_bytes)} available ({source}; {1 - MARGIN:.0%} is kept free)",
            _remedy(cost, plan, memory_bytes),
        )
    else:
        yield ok(MEMORY, f"{shown} of {write_size(memory_bytes)} ({source})")


def check_shared_memory(cost: LoaderCost, plan: HostPlan, free_bytes: int | None) -> Iterator[Finding]:
    """Batches in flight against /dev/shm: a full one kills a worker with `bus error`."""
    needed = in_flight_bytes(cost, plan)
    if not needed:
        yield ok(SHARED, "no loader workers")
    elif free_bytes is None:
        yield warning(SHARED, f"{write_size(needed)} of batches in /dev/shm; its size on the node is checked there")
    elif needed > MARGIN * free_bytes:
        yield refused(
            SHARED,
            f"{plan.processes} workers x {PREFETCH} batches are {write_size(needed)}, /dev/shm has "
            f"{write_size(free_bytes)} free",
            MORE_SHARED_MEMORY,
        )
    else:
        yield ok(SHARED, f"{write_size(needed)} of batches in {write_size(free_bytes)} of /dev/shm")


def _remedy(cost: LoaderCost, plan: HostPlan, memory_bytes: int) -> str:
    fits = most_workers(cost, plan, memory_bytes)
    if plan.workers and (fits or node_bytes(cost, _with_workers(plan, 0)) <= MARGIN * memory_bytes):
        return f"train.loader_workers={fits} fits"
    return "fewer devices= per node, a smaller train.batch_size, or more memory per node"


def _with_workers(plan: HostPlan, workers: int) -> HostPlan:
    return HostPlan(
        ranks=plan.ranks,
        workers=workers,
        loaders=plan.loaders,
        batch_size=plan.batch_size,
        step_bytes=plan.step_bytes,
    )
