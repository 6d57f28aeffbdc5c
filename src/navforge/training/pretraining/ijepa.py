"""The I-JEPA objective (arXiv 2301.08243): predict features of hidden blocks of an image from the patches around them.

The context encoder sees the context's patches and no others: tokens of the rest are taken out after the embedding, so
that no layer knows of them. (`bool_masked_pos` of `transformers` puts a mask token in their place, which is another
method.) The target encoder, a moving average of the context encoder, sees the whole image. For each target block the
predictor gets the context's features and one mask token per patch of the block, each with its place, and gives the
features the target encoder should have there. Targets are layer-normalised; the loss is the smooth L1 of the public
code (the paper writes a squared distance).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from navforge.models.timm_alone import timm
from navforge.training.pretraining.schedules import follow

if TYPE_CHECKING:
    from transformers import IJepaModel

INIT_STD = 0.02


class Predictor(nn.Module):
    """A narrow vision transformer from context features and places of hidden patches to features of these."""

    def __init__(self, channels: int, grid: int, *, width: int, depth: int, attention_heads: int) -> None:
        super().__init__()
        self.into = nn.Linear(channels, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.places: Tensor
        self.register_buffer("places", sine_cosine(width, grid), persistent=False)
        block = timm.models.vision_transformer.Block
        self.blocks = nn.ModuleList([block(width, attention_heads, qkv_bias=True) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, channels)
        nn.init.trunc_normal_(self.mask_token, std=INIT_STD)
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.trunc_normal_(part.weight, std=INIT_STD)
                nn.init.zeros_(part.bias)

    def forward(self, context: Tensor, seen: Tensor, hidden: Tensor) -> Tensor:
        """(B, P, D) features of the hidden patches.

        Args:
            context: (B, C, D) features of the patches seen.
            seen: (B, C) their numbers.
            hidden: (B, P) numbers of the hidden patches.
        """
        known = self.into(context) + self.places[seen]
        asked = self.mask_token + self.places[hidden]
        tokens = torch.cat([known, asked.to(known.dtype)], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.out(self.norm(tokens[:, seen.shape[1] :]))


class IJepa(nn.Module):
    """Context encoder, target encoder and predictor."""

    def __init__(self, encoder: IJepaModel, predictor: Predictor) -> None:
        """Take a fresh encoder; its position embeddings become the fixed ones of I-JEPA."""
        super().__init__()
        places = encoder.embeddings.position_embeddings
        places.data.copy_(sine_cosine(places.shape[-1], round(places.shape[1] ** 0.5)))
        places.requires_grad_(False)
        self.encoder = encoder
        self.target = copy.deepcopy(encoder).requires_grad_(False)
        self.predictor = predictor

    def forward(self, pixels: Tensor, context: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and the target encoder's features (B, L, D) of the whole images, before their normalisation.

        Args:
            pixels: (B, 3, S, S) normalised.
            context: (B, C) numbers of the patches seen.
            targets: (B, T, P) numbers of the patches of each target block.
        """
        blocks = targets.shape[1]
        with torch.no_grad():
            features = encode(self.target, pixels)
            normal = functional.layer_norm(features.float(), features.shape[-1:])
            wanted = take(normal.repeat_interleave(blocks, dim=0), targets.flatten(0, 1))
        seen = encode(self.encoder, pixels, context)
        predicted = self.predictor(
            seen.repeat_interleave(blocks, dim=0), context.repeat_interleave(blocks, dim=0), targets.flatten(0, 1)
        )
        return functional.smooth_l1_loss(predicted.float(), wanted), features

    def follow(self, momentum: float) -> None:
        """Move the target encoder towards the context encoder."""
        follow(self.target, self.encoder, momentum)


def encode(model: IJepaModel, pixels: Tensor, seen: Tensor | None = None) -> Tensor:
    """(B, L, D) features of the patches `seen` (B, L), computed from these alone; of all patches by default."""
    tokens = model.embeddings(pixels)
    if seen is not None:
        tokens = take(tokens, seen)
    for layer in model.layers:
        tokens = layer(tokens)
    return model.layernorm(tokens)


def take(tokens: Tensor, numbers: Tensor) -> Tensor:
    """(B, N, D) those of (B, L, D) tokens with these numbers (B, N)."""
    return tokens.gather(1, numbers[..., None].expand(-1, -1, tokens.shape[-1]))


def sine_cosine(width: int, grid: int) -> Tensor:
    """(grid * grid, width) fixed position embeddings: sines and cosines of the row, then those of the column.

    Frequencies are 10000^(-2 k / (width / 2)), as in "Attention Is All You Need" for each axis (MoCo v3, MAE, I-JEPA).
    `width` is a multiple of 4.
    """
    frequencies = 10000.0 ** (-torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    angles = torch.arange(grid, dtype=torch.float64)[:, None] * frequencies
    axis = torch.cat([angles.sin(), angles.cos()], dim=1)
    rows, columns = axis.repeat_interleave(grid, dim=0), axis.repeat(grid, 1)
    return torch.cat([rows, columns], dim=1).float()
