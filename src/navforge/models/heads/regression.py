"""What heads that regress the plan share: the loss and the plan; each computes the poses in its own way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from navforge.models.contract import HeadOutput, PlannerOutput, Targets
from navforge.models.modules import Head

if TYPE_CHECKING:
    from navforge.models.heads.configs import RegressionConfig

PLAN_POSES = 8
PLAN_INTERVAL_S = 0.5


@dataclass(frozen=True)
class RegressionOutput(HeadOutput):
    """The plan itself."""

    poses: Tensor
    """(B, 8, 3) x, y m, heading rad in the ego frame."""


class RegressionHead(Head):
    """Base of heads whose output is a `RegressionOutput`."""

    def __init__(self, config: RegressionConfig) -> None:
        super().__init__()
        self.config = config

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """Mean absolute error over all poses and columns (m, m, rad alike, as the public ego MLP has it) and penalties.

        The penalties are the factors of the config times `mean_square_difference` of order 2 and 3; one whose factor
        is 0 is left out.
        """
        assert isinstance(output, RegressionOutput)
        poses = output.poses.float()
        terms = {"trajectory": functional.l1_loss(poses, targets.human_poses)}
        penalties = (("acceleration", self.config.acceleration_penalty, 2), ("jerk", self.config.jerk_penalty, 3))
        for name, factor, order in penalties:
            if factor > 0:
                terms[name] = factor * mean_square_difference(poses[..., :2], order, PLAN_INTERVAL_S)
        return {**terms, "total": torch.stack(list(terms.values())).sum()}

    def plan(self, output: HeadOutput) -> PlannerOutput:
        """The regressed poses."""
        assert isinstance(output, RegressionOutput)
        return PlannerOutput(output.poses, PLAN_INTERVAL_S)


def mean_square_difference(positions: Tensor, order: int, interval_s: float) -> Tensor:
    """Mean square of the n-th finite difference of plans: of order 2 the acceleration, of order 3 the jerk.

    Args:
        positions: (B, T, 2) m in the ego frame, one interval apart; the current position, the origin, is put before
            them.
        order: n.
        interval_s: time between positions.

    Returns:
        Scalar: squared length of the difference vector over `interval_s` to the n-th, mean over times and batch;
        m2/s4 for order 2, m2/s6 for order 3.
    """
    whole = torch.cat([torch.zeros_like(positions[:, :1]), positions], dim=1)
    return (whole.diff(n=order, dim=1) / interval_s**order).square().sum(dim=-1).mean()
