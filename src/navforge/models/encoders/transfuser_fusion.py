"""Fusion of two feature maps by a small transformer over pooled tokens of both (TransFuser, arXiv 2205.15997)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

Grid = tuple[int, int]
"""Rows and columns of tokens."""

EXPANSION = 4
"""Width of the hidden layer of a block's MLP over its width."""


class Fusion(nn.Module):
    """Image and ground feature maps, each enriched with what the other saw, at one scale.

    Both maps are average-pooled to token grids, attend to each other in a transformer of the image's width, and the
    result is scaled back up and added to them.
    """

    def __init__(
        self,
        image_channels: int,
        ground_channels: int,
        image_grid: Grid,
        ground_grid: Grid,
        *,
        layers: int,
        attention_heads: int,
        dropout: float,
    ) -> None:
        """Args are the channels of the two maps, the token grids they are pooled to, and the transformer's size."""
        super().__init__()
        self.image_grid = image_grid
        self.ground_grid = ground_grid
        self.to_image = nn.Conv2d(ground_channels, image_channels, kernel_size=1)
        self.to_ground = nn.Conv2d(image_channels, ground_channels, kernel_size=1)
        self.position = nn.Parameter(torch.zeros(1, _count(image_grid) + _count(ground_grid), image_channels))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(Block(image_channels, attention_heads, dropout) for _ in range(layers)))
        self.norm = nn.LayerNorm(image_channels)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, image: Tensor, ground: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) and (B, G, h, w) maps to the same shapes."""
        image_tokens = functional.adaptive_avg_pool2d(image, self.image_grid)
        ground_tokens = self.to_image(functional.adaptive_avg_pool2d(ground, self.ground_grid))
        tokens = torch.cat([image_tokens.flatten(2), ground_tokens.flatten(2)], dim=2).transpose(1, 2)
        tokens = self.norm(self.blocks(self.dropout(tokens + self.position)))
        parts = tokens.transpose(1, 2).split([_count(self.image_grid), _count(self.ground_grid)], dim=2)
        for_image = parts[0].unflatten(2, self.image_grid)
        for_ground = self.to_ground(parts[1].unflatten(2, self.ground_grid))
        return image + _resized(for_image, image), ground + _resized(for_ground, ground)


class Block(nn.Module):
    """Self-attention and an MLP, each after a layer norm and added to its input."""

    def __init__(self, width: int, attention_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, attention_heads, dropout)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, EXPANSION * width),
            nn.ReLU(),
            nn.Linear(EXPANSION * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, D) to (B, L, D)."""
        tokens = tokens + self.attention(self.attention_norm(tokens))
        return tokens + self.mlp(self.mlp_norm(tokens))


class SelfAttention(nn.Module):
    """Multi-head self-attention with dropout of attention weights and of the result."""

    def __init__(self, width: int, attention_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_heads = attention_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.project = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, D) to (B, L, D)."""
        query, key, value = (self._heads(part(tokens)) for part in (self.query, self.key, self.value))
        dropped = self.dropout.p if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, dropout_p=dropped)
        return self.dropout(self.project(mixed.transpose(1, 2).flatten(2)))

    def _heads(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(2, (self.attention_heads, -1)).transpose(1, 2)


def _count(grid: Grid) -> int:
    return grid[0] * grid[1]


def _resized(small: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(small, size=like.shape[2:], mode="bilinear", align_corners=False)
