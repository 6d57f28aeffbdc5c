"""What ranks tell each other beside gradients: small values over the CPU, so that no GPU has to wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from navforge.training.ranks.failures import TrainingError, cause_of, tokens_of

ValueT = TypeVar("ValueT")


@dataclass(frozen=True)
class Ranks:
    """This rank among all; with one rank nothing is sent."""

    rank: int = 0
    world_size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which alone writes shared files."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """Sums over ranks, value by value."""
        if self.world_size == 1:
            return list(values)
        tensor = torch.tensor(list(values), dtype=torch.float64)
        dist.all_reduce(tensor)
        return tensor.tolist()

    def gather(self, value: ValueT) -> list[ValueT]:
        """Every rank's value, by rank, on all ranks."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def share(self, value: ValueT) -> ValueT:
        """Rank 0's value."""
        if self.world_size == 1:
            return value
        values: list[Any] = [value]
        dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        return values[0]

    def first_does(self, action: Callable[[], ValueT]) -> ValueT:
        """What rank 0 alone does, the others waiting; its result for all.

        Raises:
            Exception: on rank 0, what the action raises.
            TrainingError: on the others, of the same cause.
        """
        outcome: tuple[Any, Any] = (None, None)
        error: Exception | None = None
        if self.first:
            try:
                outcome = (action(), None)
            except Exception as caught:  # the others must hear of it first
                error = caught
                outcome = (None, (cause_of(caught), f"{type(caught).__name__}: {caught}", tokens_of(caught)))
        result, failed = self.share(outcome)
        if error is not None:
            raise error
        if failed is not None:
            raise TrainingError(f"rank 0 failed: {failed[1]}", cause=failed[0], tokens=failed[2])
        return result

    def raise_together(self, error: Exception | None) -> None:
        """Raise on all ranks where any has an error: each its own, the others that of the first rank that has one."""
        mine = None if error is None else (cause_of(error), f"{type(error).__name__}: {error}", tokens_of(error))
        everyone = self.gather(mine)
        if error is not None:
            raise error
        for rank, theirs in enumerate(everyone):
            if theirs is not None:
                raise TrainingError(f"rank {rank} failed: {theirs[1]}", cause=theirs[0], tokens=theirs[2])
