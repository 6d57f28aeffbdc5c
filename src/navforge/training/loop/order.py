"""The order in which ranks see scenes: decided by seed, epoch, step and number of ranks alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.utils.data import Sampler

from navforge.core.errors import ConfigError


@dataclass(frozen=True)
class EpochPlan:
    """How an epoch over `size` scenes is cut into optimiser steps.

    A step takes `accumulate` rounds of one batch per rank; scenes that do not fill a last step are left out, except
    where the split is smaller than a single step: then the step is smaller.
    """

    size: int
    batch_size: int
    """Scenes per rank and round."""
    world_size: int = 1
    accumulate: int = 1

    def __post_init__(self) -> None:
        """Raise ConfigError where a rank would get nothing."""
        if self.size < self.world_size * self.accumulate:
            raise ConfigError(
                f"split: {self.size} scenes cannot be shared by {self.world_size} ranks with train.accumulate="
                f"{self.accumulate}; train on more scenes or fewer ranks"
            )

    @property
    def batch(self) -> int:
        """Scenes per rank and round."""
        return min(self.batch_size, self.size // (self.world_size * self.accumulate))

    @property
    def steps(self) -> int:
        """Optimiser steps of an epoch."""
        return max(1, self.size // (self.batch_size * self.world_size * self.accumulate))

    @property
    def scenes_per_step(self) -> int:
        """Of all ranks."""
        return self.batch * self.world_size * self.accumulate

    def rounds(self, order: list[int], rank: int, first_step: int = 0) -> Iterator[list[int]]:
        """Batches of a rank from a step on: slices of the shuffled scenes, round by round, rank by rank."""
        for index in range(first_step * self.accumulate, self.steps * self.accumulate):
            start = (index * self.world_size + rank) * self.batch
            yield order[start : start + self.batch]


class EpochBatches(Sampler[list[int]]):
    """Batches of one rank in the epoch and from the step it is told, for a DataLoader."""

    def __init__(self, plan: EpochPlan, *, seed: int, rank: int = 0) -> None:
        self.plan = plan
        self.seed = seed
        self.rank = rank
        self.epoch = 0
        self.first_step = 0

    def start_at(self, epoch: int, step: int) -> None:
        """Where the next iteration begins."""
        self.epoch, self.first_step = epoch, step

    def __len__(self) -> int:
        return (self.plan.steps - self.first_step) * self.plan.accumulate

    def __iter__(self) -> Iterator[list[int]]:
        order = shuffled(self.plan.size, self.seed, self.epoch)
        return self.plan.rounds(order, self.rank, self.first_step)


class SharedBatches(Sampler[list[int]]):
    """Scenes in their own order, batch by batch over ranks; every rank gets equally many batches.

    Ranks that would have none repeat one, because a sharded planner needs all ranks in every forward pass: only the
    first `own` batches of a rank count.
    """

    def __init__(self, size: int, *, batch_size: int, world_size: int = 1, rank: int = 0) -> None:
        count = -(-size // batch_size)
        mine = range(rank, count, world_size)
        self.own = len(mine)
        self._starts = [start * batch_size for start in mine]
        self._starts += [0] * (-(-count // world_size) - self.own)
        self._size, self._batch_size = size, batch_size

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[list[int]]:
        for start in self._starts:
            yield list(range(start, min(start + self._batch_size, self._size)))


def shuffled(size: int, seed: int, epoch: int) -> list[int]:
    """A permutation that depends on seed and epoch alone."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(size, generator=generator).tolist()
