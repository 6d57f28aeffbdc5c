"""How a run is cut into epochs and optimiser steps, and how long it is; loads no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from navforge.core.errors import ConfigError
from navforge.training.config import LoopConfig


@dataclass(frozen=True)
class EpochPlan:
    """How passes over `size` scenes are cut into optimiser steps, and how many of these are an epoch.

    A step takes `accumulate` rounds of one batch per rank; scenes that do not fill the last step of a pass are left
    out, except where the split is smaller than a single step: then the step is smaller.
    """

    size: int
    batch_size: int
    """Scenes per rank and round."""
    world_size: int = 1
    accumulate: int = 1
    updates: int | None = None
    """Steps of an epoch; None: those of a pass."""

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
    def pass_steps(self) -> int:
        """Optimiser steps of a pass over the scenes."""
        return max(1, self.size // (self.batch_size * self.world_size * self.accumulate))

    @property
    def steps(self) -> int:
        """Optimiser steps of an epoch."""
        return self.updates or self.pass_steps

    @property
    def scenes_per_step(self) -> int:
        """Of all ranks."""
        return self.batch * self.world_size * self.accumulate

    def rounds(self, order: list[int], rank: int, step: int) -> Iterator[list[int]]:
        """Batches of a rank in a step of a pass: slices of the shuffled scenes, round by round, rank by rank."""
        for index in range(step * self.accumulate, (step + 1) * self.accumulate):
            start = (index * self.world_size + rank) * self.batch
            yield order[start : start + self.batch]


def plan_of(size: int, config: LoopConfig, world_size: int) -> EpochPlan:
    """How passes and epochs are cut into steps.

    Raises:
        ConfigError: the batch size is still `auto`, or there are fewer scenes than ranks.
    """
    if config.batch_size is None or config.loader_workers is None:
        raise ConfigError(
            "train.batch_size and train.loader_workers are auto, which navforge train settles before ranks start; give "
            "numbers"
        )
    return EpochPlan(size, config.batch_size, world_size, config.accumulate, config.epoch_updates)


@dataclass(frozen=True, kw_only=True)
class TrainingLength:
    """What a whole run comes to."""

    epochs: int
    """Each followed by a validation."""
    updates: int
    """Optimiser steps."""
    samples: int
    """Scenes learned from, counted each time."""

    def __str__(self) -> str:
        return f"{self.epochs} epochs, {self.updates:,} updates, {self.samples:,} samples"


def training_length(scenes: int, config: LoopConfig, ranks: int) -> TrainingLength:
    """Length of a run.

    Args:
        scenes: trained on.
        config: with numbers for `auto`.
        ranks: in all.

    Raises:
        ConfigError: the batch size is still `auto`, or there are fewer scenes than ranks.
    """
    plan = plan_of(scenes, config, ranks)
    updates = plan.steps * config.epochs
    return TrainingLength(epochs=config.epochs, updates=updates, samples=updates * plan.scenes_per_step)
