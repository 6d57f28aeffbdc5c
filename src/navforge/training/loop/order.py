"""The order in which ranks see scenes: decided by seed, step and number of ranks alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from navforge.training.loop.epochs import EpochPlan


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
        plan, order, shown = self.plan, [], None
        for total in range(self.epoch * plan.steps + self.first_step, (self.epoch + 1) * plan.steps):
            number, step = divmod(total, plan.pass_steps)
            if number != shown:
                order, shown = shuffled(plan.size, self.seed, number), number
            yield from plan.rounds(order, self.rank, step)


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


def shuffled(size: int, seed: int, number: int) -> list[int]:
    """A permutation that depends on the seed and the number of the pass alone."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
    return torch.randperm(size, generator=generator).tolist()
