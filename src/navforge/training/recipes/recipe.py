"""`Recipe`: a planner and its training under one name."""

from __future__ import annotations

from dataclasses import dataclass

from navforge.models.planner_config import PlannerConfig
from navforge.training.config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A planner and its training."""

    planner: PlannerConfig
    train: TrainConfig
    summary: str

    @property
    def name(self) -> str:
        """The planner's name."""
        return self.planner.name
