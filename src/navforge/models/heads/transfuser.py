"""TransFuser's head: one query for the plan and one per vehicle, decoded from ground tokens and the ego status."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.models.contract import (
    STATUS_SIZE,
    Head,
    HeadConfig,
    HeadInput,
    HeadOutput,
    PlannerOutput,
    Targets,
)
from navforge.models.heads.mlp import PLAN_INTERVAL_S, PLAN_POSES
from navforge.models.perception import MOST_AGENTS, Perceived, Perception, PerceptionConfig
from navforge.models.perception_loss import perception_loss
from navforge.vocabulary.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class TransfuserHeadConfig(HeadConfig):
    """Defaults are the published sizes and factors (planner specifications 4)."""

    kind: ClassVar[str] = "transfuser"

    attention_heads: int = key(8, "attention heads of the decoder", low=1)
    feed_forward: int = key(1024, "hidden width of the decoder and of the regressions", low=1)
    decoder_layers: int = key(3, "layers of the decoder", low=1)
    dropout: float = key(0.0, "dropout in the decoder", low=0.0, high=0.9)
    trajectory_factor: float = key(10.0, "factor of the plan's mean absolute error", low=0.0)
    perception: PerceptionConfig = key(PerceptionConfig)

    @property
    def auxiliary_targets(self) -> tuple[str, ...]:
        """Those of the perception auxiliaries."""
        return self.perception.targets

    def build(self, token_channels: int, vocabulary: Vocabulary | None, *, bev_channels: int = 0) -> TransfuserHead:
        """The head; it is as wide as the tokens and has no use for a vocabulary.

        Raises:
            ConfigError: the width does not divide, or segmentation is on and the encoder has no BEV features.
        """
        if token_channels % self.attention_heads:
            raise ConfigError(
                f"planner.head.attention_heads: tokens of width {token_channels} are not a multiple of "
                f"{self.attention_heads}"
            )
        return TransfuserHead(self, token_channels, bev_channels)


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
