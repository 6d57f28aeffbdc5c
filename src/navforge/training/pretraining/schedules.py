"""What changes from step to step beside the learning rate: the target encoder's momentum and the weight decay."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from navforge.training.config import LoopConfig
from navforge.training.loop.module import rate_factor


def momentum_at(step: int, total: int, *, start: float) -> float:
    """Momentum of the target encoder after a step: linear from `start` to 1 at the end of the run."""
    return start + (1.0 - start) * min(1.0, step / total)


def weight_decay_at(step: int, total: int, *, start: float, end: float) -> float:
    """Weight decay of a step: half a cosine from `start` to `end`."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / total)))


class DecaySchedule(LambdaLR):
    """The configured learning rate, and weight decay by half a cosine in the groups marked as `decayed`."""

    def __init__(self, optimiser: torch.optim.Optimizer, config: LoopConfig, total: int, *, end: float) -> None:
        self.total, self.decay = total, (config.weight_decay, end)
        super().__init__(optimiser, lambda step: rate_factor(config, step, total))

    def step(self, epoch: int | None = None) -> None:
        """Rate and decay of the next step."""
        super().step(epoch)
        start, end = self.decay
        for group in self.optimizer.param_groups:
            if group["decayed"]:
                group["weight_decay"] = weight_decay_at(self.last_epoch, self.total, start=start, end=end)


@torch.no_grad()
def follow(target: nn.Module, source: nn.Module, momentum: float) -> None:
    """Parameters of `target` as the moving average of those of `source`: t <- m t + (1 - m) s."""
    for average, fresh in zip(target.parameters(), source.parameters(), strict=True):
        average.lerp_(fresh, 1.0 - momentum)
