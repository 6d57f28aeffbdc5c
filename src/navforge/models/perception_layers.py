"""The torch modules of the perception auxiliaries (`models.perception` says how a head uses them)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from navforge.core.errors import ConfigError
from navforge.models.perception import BEV_CLASSES, BEV_SHAPE, BOX_COLUMNS, MOST_AGENTS, REACH_M, PerceptionConfig


@dataclass(frozen=True)
class Perceived:
    """What the auxiliaries say of a batch; None where one is switched off."""

    boxes: Tensor | None
    """(B, A, 5) as `BOX_COLUMNS`."""
    logits: Tensor | None
    """(B, A) of there being a vehicle."""
    semantics: Tensor | None
    """(B, 7, 128, 256) logits of `BEV_CLASSES`."""


class Perception(nn.Module):
    """Decoded vehicle queries to boxes, bird's-eye-view features to classes."""

    def __init__(self, config: PerceptionConfig, width: int, hidden: int, bev_channels: int) -> None:
        """Build what the config switches on.

        Args:
            config: which auxiliaries.
            width: D of the queries.
            hidden: width between the two layers of the box regression.
            bev_channels: C of the encoder's bird's-eye-view features.

        Raises:
            ConfigError: segmentation is on and the encoder has no such features.
        """
        super().__init__()
        self.config = config
        if config.agents:
            self.box = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, BOX_COLUMNS))
            self.label = nn.Linear(width, 1)
        if config.bev_semantics:
            if bev_channels == 0:
                raise ConfigError(
                    "planner.head.perception.bev_semantics: the encoder has no bird's-eye-view features to segment; "
                    "use the transfuser encoder or set it to false"
                )
            self.semantics = nn.Sequential(
                nn.Conv2d(bev_channels, bev_channels, kernel_size=3, padding=1),
                nn.ReLU(),
                nn.Conv2d(bev_channels, len(BEV_CLASSES), kernel_size=1),
                nn.Upsample(size=BEV_SHAPE, mode="bilinear", align_corners=False),
            )

    def forward(self, queries: Tensor | None, bev: Tensor | None) -> Perceived:
        """(B, A, D) queries and (B, C, H, W) features to what is perceived; either may be None if switched off."""
        boxes = logits = semantics = None
        if self.config.agents:
            assert queries is not None
            boxes = bounded(self.box(queries))
            logits = self.label(queries).squeeze(-1)
        if self.config.bev_semantics:
            assert bev is not None
            semantics = self.semantics(bev)
        return Perceived(boxes, logits, semantics)


class PerceptionBranch(nn.Module):
    """`Perception` with vehicle queries and a transformer decoder of its own over the encoder's tokens."""

    def __init__(
        self,
        config: PerceptionConfig,
        width: int,
        attention_heads: int,
        feed_forward: int,
        bev_channels: int,
        *,
        layers: int = 3,
        dropout: float = 0.0,
    ) -> None:
        """See `Perception`; `width` is that of the tokens given to `forward`."""
        super().__init__()
        self.config = config
        self.perception = Perception(config, width, feed_forward, bev_channels)
        if config.agents:
            self.queries = nn.Parameter(torch.randn(MOST_AGENTS, width))
            self.decoder = nn.ModuleList(
                nn.TransformerDecoderLayer(width, attention_heads, feed_forward, dropout, batch_first=True)
                for _ in range(layers)
            )

    def forward(self, tokens: Tensor, bev: Tensor | None) -> Perceived:
        """(B, L, D) tokens and (B, C, H, W) features to what is perceived."""
        queries = None
        if self.config.agents:
            queries = self.queries.expand(len(tokens), -1, -1)
            for layer in self.decoder:
                queries = layer(queries, tokens)
        return self.perception(queries, bev)


def bounded(raw: Tensor) -> Tensor:
    """(..., 5) boxes whose centre lies within `REACH_M` and whose heading within pi, from free numbers."""
    return torch.cat(
        [raw[..., :2].tanh() * REACH_M, raw[..., 2:3].tanh() * math.pi, raw[..., 3:]],
        dim=-1,
    )
