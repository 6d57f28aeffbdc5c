"""Means over an epoch of what every batch gives, of one rank and of all."""

from __future__ import annotations

import torch
from torch import Tensor

from navforge.training.ranks.messages import Ranks

Sums = dict[str, tuple[float, float]]
"""Sum and number of scenes by name, as plain values."""


class Meter:
    """Sums in float32, on the device the values are on; nothing is waited for until `sums`."""

    def __init__(self, sums: Sums | None = None) -> None:
        self._sums: dict[str, tuple[Tensor, float]] = {
            name: (torch.tensor(total), count) for name, (total, count) in (sums or {}).items()
        }

    def add(self, values: dict[str, Tensor], scenes: int) -> None:
        """Values of a batch, each a mean over its scenes."""
        for name, value in values.items():
            total, count = self._sums.get(name, (torch.zeros((), device=value.device), 0.0))
            self._sums[name] = (total.to(value.device) + value * scenes, count + scenes)

    def sums(self) -> Sums:
        """This rank's sums."""
        return {name: (float(total), count) for name, (total, count) in self._sums.items()}


def means(sums: list[Sums], stage: str) -> dict[str, float]:
    """Means over all ranks' sums, as `train/loss` and `val/score`."""
    found = {}
    for name in dict.fromkeys(name for rank in sums for name in rank):
        parts = [rank[name] for rank in sums if name in rank]
        total = torch.stack([torch.tensor(part[0]) for part in parts]).sum()
        found[f"{stage}/{'loss' if name == 'total' else name}"] = float(total / sum(part[1] for part in parts))
    return found


def all_sums(meter: Meter, ranks: Ranks) -> list[Sums]:
    """Every rank's sums, by rank."""
    return ranks.gather(meter.sums())
