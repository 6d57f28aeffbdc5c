"""TransFuser's head: one query for the plan and one per vehicle, decoded from ground tokens and the ego status."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from navforge.models.contract import STATUS_SIZE, HeadInput, HeadOutput, PlannerOutput, Targets
from navforge.models.heads.regression import PLAN_INTERVAL_S, PLAN_POSES
from navforge.models.modules import Head
from navforge.models.perception import MOST_AGENTS
from navforge.models.perception_layers import Perceived, Perception
from navforge.models.perception_loss import perception_loss

if TYPE_CHECKING:
    from navforge.models.heads.configs import TransfuserHeadConfig


@dataclass(frozen=True)
class TransfuserOutput(HeadOutput):
    """The plan and what is perceived beside it."""

    poses: Tensor
    """(B, 8, 3) x, y m, heading rad."""
    perceived: Perceived


class TransfuserHead(Head):
    """See `TransfuserHeadConfig`."""

    def __init__(self, config: TransfuserHeadConfig, width: int, bev_channels: int) -> None:
        super().__init__()
        self.config = config
        self.status = nn.Linear(STATUS_SIZE, width)
        self.status_position = nn.Parameter(torch.randn(1, width))
        self.queries = nn.Parameter(torch.randn(1 + MOST_AGENTS * config.perception.agents, width))
        self.decoder = nn.ModuleList(
            nn.TransformerDecoderLayer(
                width, config.attention_heads, config.feed_forward, config.dropout, batch_first=True
            )
            for _ in range(config.decoder_layers)
        )
        self.trajectory = nn.Sequential(
            nn.Linear(width, config.feed_forward), nn.ReLU(), nn.Linear(config.feed_forward, PLAN_POSES * 3)
        )
        self.perception = Perception(config.perception, width, config.feed_forward, bev_channels)

    def forward(self, head_input: HeadInput) -> TransfuserOutput:
        """Plan, boxes and BEV classes."""
        status = self.status(head_input.status)[:, None] + self.status_position
        memory = torch.cat([head_input.tokens, status], dim=1)
        queries = self.queries.expand(len(memory), -1, -1)
        for layer in self.decoder:
            queries = layer(queries, memory)
        raw = self.trajectory(queries[:, 0]).unflatten(-1, (PLAN_POSES, 3))
        poses = torch.cat([raw[..., :2], raw[..., 2:].tanh() * math.pi], dim=-1)
        return TransfuserOutput(poses, self.perception(queries[:, 1:], head_input.bev))

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """Mean absolute error of the plan (m, m, rad alike) and the perception terms, factors applied."""
        assert isinstance(output, TransfuserOutput)
        error = functional.l1_loss(output.poses.float(), targets.human_poses)
        terms = {"trajectory": self.config.trajectory_factor * error}
        terms |= perception_loss(output.perceived, targets, self.config.perception)
        return {**terms, "total": torch.stack(list(terms.values())).sum()}

    def plan(self, output: HeadOutput) -> PlannerOutput:
        """The regressed poses."""
        assert isinstance(output, TransfuserOutput)
        return PlannerOutput(output.poses, PLAN_INTERVAL_S)
