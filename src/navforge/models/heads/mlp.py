"""Pose regression by a multi-layer perceptron; with the `ego_status` encoder the ego-status MLP of NAVSIM."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from navforge.models.contract import STATUS_SIZE, HeadInput
from navforge.models.heads.regression import PLAN_POSES, RegressionHead, RegressionOutput

if TYPE_CHECKING:
    from navforge.models.heads.configs import MlpHeadConfig


class MlpHead(RegressionHead):
    """See `MlpHeadConfig`."""

    def __init__(self, config: MlpHeadConfig, token_channels: int) -> None:
        super().__init__(config)
        self.append_status = config.append_status
        status = STATUS_SIZE * config.status_frames * config.append_status
        widths = [token_channels + status] + [config.hidden] * config.layers
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            norm = [nn.LayerNorm(wide)] if config.layer_norm else []
            layers += [nn.Linear(narrow, wide), *norm, nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(config.hidden, PLAN_POSES * 3))

    def forward(self, head_input: HeadInput) -> RegressionOutput:
        """(B, 8, 3) poses."""
        features = head_input.tokens.mean(dim=1)
        if self.append_status:
            features = torch.cat([features, head_input.flat_status], dim=-1)
        return RegressionOutput(self.layers(features).unflatten(-1, (PLAN_POSES, 3)))
