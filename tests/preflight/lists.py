"""An agent whose features are lists, as people write them; it trains, and fails where scenes come one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from navforge.models.contract import (
    EncoderConfig,
    Features,
    HeadConfig,
    HeadInput,
    HeadOutput,
    Inputs,
    PlannerOutput,
    Targets,
)
from navforge.models.modules import Encoder, Head


@dataclass(frozen=True, kw_only=True)
class ListsConfig(EncoderConfig):
    def build(self, *, pretrained: bool = True) -> ListsEncoder:
        return ListsEncoder()


class ListsEncoder(Encoder):
    channels = 8

    def forward(self, inputs: Inputs) -> Features:
        tokens: Any = [inputs["status"], inputs["status"]]
        return Features(tokens)


@dataclass(frozen=True, kw_only=True)
class ListsHeadConfig(HeadConfig):
    def build(self, token_channels: int, vocabulary: Any, *, bev_channels: int = 0) -> ListsHead:
        return ListsHead()


@dataclass(frozen=True)
class ListsOutput(HeadOutput):
    poses: Tensor


class ListsHead(Head):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 24)

    def forward(self, head_input: HeadInput) -> ListsOutput:
        return ListsOutput(self.layer(torch.cat(list(head_input.tokens), dim=-1)).unflatten(-1, (8, 3)))

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        assert isinstance(output, ListsOutput)
        return {"total": functional.l1_loss(output.poses, targets.human_poses)}

    def plan(self, output: HeadOutput) -> PlannerOutput:
        assert isinstance(output, ListsOutput)
        return PlannerOutput(output.poses, 0.5)
