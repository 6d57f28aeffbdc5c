"""What the trainer asks of what it trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from navforge.training.config import LoopConfig

Batch = dict[str, Any]


class Learner(nn.Module, ABC):
    """A network with its loss under one forward pass, so that strategies can wrap the whole."""

    shown: ClassVar[tuple[str, ...]] = ("train/loss", "val/loss", "val/score")
    """Values of an epoch that its line on the screen has."""

    @abstractmethod
    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars of a batch; in training `total` is what is minimised. What is random is drawn from torch's seed."""

    @abstractmethod
    def optimiser(self, config: LoopConfig) -> torch.optim.Optimizer:
        """The optimiser of all that learns; the rate of its last group is the one that curves show."""

    @abstractmethod
    def schedule(self, optimiser: torch.optim.Optimizer, config: LoopConfig, total_steps: int) -> LRScheduler:
        """What changes from step to step, for a run of this many."""

    @property
    def outside(self) -> set[str]:
        """Names in its state that checkpoints leave out, because they lie in a file."""
        return set()

    def after_step(self, done: int) -> None:
        """Called after each optimiser step, `done` of which the run has taken."""

    def remarks(self, values: dict[str, float]) -> list[str]:
        """What to tell the user of an epoch's values beside the values."""
        return []
