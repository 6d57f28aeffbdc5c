"""Pose regression by a multi-layer perceptron; with the `ego_status` encoder the ego-status MLP of NAVSIM."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from navforge.models.contract import STATUS_SIZE, HeadInput, HeadOutput, PlannerOutput, Targets
from navforge.models.modules import Head

if TYPE_CHECKING:
    from navforge.models.heads.configs import MlpHeadConfig

PLAN_POSES = 8
PLAN_INTERVAL_S = 0.5


@dataclass(frozen=True)
class MlpOutput(HeadOutput):
    """The plan itself."""

    poses: Tensor
    """(B, 8, 3)."""


class MlpHead(Head):
    """See `MlpHeadConfig`."""

    def __init__(self, config: MlpHeadConfig, token_channels: int) -> None:
        super().__init__()
        self.append_status = config.append_status
        widths = [token_channels + STATUS_SIZE * config.append_status] + [config.hidden] * config.layers
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            layers += [nn.Linear(narrow, wide), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(config.hidden, PLAN_POSES * 3))

    def forward(self, head_input: HeadInput) -> MlpOutput:
        """(B, 8, 3) poses."""
        features = head_input.tokens.mean(dim=1)
        if self.append_status:
            features = torch.cat([features, head_input.status], dim=-1)
        return MlpOutput(self.layers(features).unflatten(-1, (PLAN_POSES, 3)))

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """Mean absolute error over all poses and columns (m, m, rad alike, as the public ego MLP has it)."""
        assert isinstance(output, MlpOutput)
        error = functional.l1_loss(output.poses, targets.human_poses)
        return {"trajectory": error, "total": error}

    def plan(self, output: HeadOutput) -> PlannerOutput:
        """The regressed poses."""
        assert isinstance(output, MlpOutput)
        return PlannerOutput(output.poses, PLAN_INTERVAL_S)
