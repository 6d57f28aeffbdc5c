"""Pose regression by a recurrent roll-out: a gated recurrent unit adds one displacement per step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from navforge.models.contract import STATUS_SIZE, HeadInput
from navforge.models.heads.regression import PLAN_POSES, RegressionHead, RegressionOutput

if TYPE_CHECKING:
    from navforge.models.heads.configs import GruHeadConfig


class GruHead(RegressionHead):
    """See `GruHeadConfig`."""

    def __init__(self, config: GruHeadConfig, token_channels: int) -> None:
        super().__init__(config)
        self.start = nn.Linear(token_channels + STATUS_SIZE * config.status_frames, config.hidden)
        self.cell = nn.GRUCell(3, config.hidden)
        self.displacement = nn.Linear(config.hidden, 3)

    def forward(self, head_input: HeadInput) -> RegressionOutput:
        """(B, 8, 3) poses: cumulative sums of the displacements.

        A displacement is the change of x, y (m) and heading (rad) over 0.5 s. All are in the ego frame of the current
        pose, which does not turn along the plan: headings add up like positions and are not wrapped. A step is given
        the displacement that the step before it predicted, in training too; the first is given zeros.
        """
        pooled = head_input.tokens.mean(dim=1)
        hidden = self.start(torch.cat([pooled, head_input.flat_status], dim=-1)).tanh()
        displacement = hidden.new_zeros(len(hidden), 3)
        displacements = []
        for _ in range(PLAN_POSES):
            hidden = self.cell(displacement, hidden)
            displacement = self.displacement(hidden)
            displacements.append(displacement)
        return RegressionOutput(torch.stack(displacements, dim=1).cumsum(dim=1))
