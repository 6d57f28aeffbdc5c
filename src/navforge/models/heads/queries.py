"""Pose regression by a transformer decoder: one learned query per pose attends to the tokens and to the ego status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from navforge.models.contract import STATUS_SIZE, HeadInput
from navforge.models.heads.regression import PLAN_POSES, RegressionHead, RegressionOutput

if TYPE_CHECKING:
    from navforge.models.heads.configs import QueriesHeadConfig


class QueriesHead(RegressionHead):
    """See `QueriesHeadConfig`. Where a token lies in the image is the encoder's to say; none is told here."""

    def __init__(self, config: QueriesHeadConfig, token_channels: int) -> None:
        super().__init__(config)
        width = config.width
        self.tokens = nn.Linear(token_channels, width)
        self.status = nn.Linear(STATUS_SIZE * config.status_frames, width)
        self.queries = nn.Parameter(torch.randn(PLAN_POSES, width))
        layer = nn.TransformerDecoderLayer(
            width, config.attention_heads, config.feed_forward, config.dropout, batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, config.decoder_layers, norm=nn.LayerNorm(width))
        self.pose = nn.Linear(width, 3)

    def forward(self, head_input: HeadInput) -> RegressionOutput:
        """(B, 8, 3) poses, one per query."""
        status = self.status(head_input.flat_status)[:, None]
        memory = torch.cat([self.tokens(head_input.tokens), status], dim=1)
        return RegressionOutput(self.pose(self.decoder(self.queries.expand(len(memory), -1, -1), memory)))
