"""An image network from files over a camera view: a trunk that may be frozen, and a choice of its tokens."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from navforge.core.errors import ConfigError, DataError
from navforge.core.screen import say
from navforge.models.contract import Features, Inputs
from navforge.models.encoders.image_networks import ImageNetwork, Size, image_network
from navforge.models.encoders.tuning import learn_last_blocks, learn_low_rank
from navforge.models.encoders.weight_files import Weights, find_weights, read_architecture
from navforge.models.frozen import BATCH_NORMS, frozen_norms
from navforge.models.modules import TrunkEncoder

if TYPE_CHECKING:
    from navforge.models.encoders.configs import VisionConfig


class VisionEncoder(TrunkEncoder):
    """Tokens of an image network, reduced as the config says."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: VisionConfig, *, pretrained: bool = True) -> None:
        """Build the network; with `pretrained=False` no tensors are read, but the architecture is.

        Raises:
            ConfigError: a token is asked for that the network does not have, or the image size does not fit it.
            DataError: weights are missing, damaged, or have another fingerprint than the config states.
        """
        super().__init__()
        self.config = config
        self.trunk = _trunk(config, pretrained=pretrained)
        self.channels = self.trunk.channels
        if config.tokens == "class" and not self.trunk.has_class:
            raise ConfigError(f"planner.encoder.tokens: {_name(config)} has no class token; choose all, grid or mean")
        mean, std = self.trunk.scale
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))
        views, cameras = config.cameras.views, config.cameras.views // config.frames
        self.groups = cameras if self.trunk.clip_frames > 1 else views
        self.view_embedding = nn.Parameter(0.02 * torch.randn(self.groups, self.channels)) if self.groups > 1 else None
        self.pool: AttentionPool | None = None
        if config.tokens == "attention":
            self.pool = AttentionPool(self.channels, config.attention_heads, config.queries)
        self._choose_what_learns()
        self.train()

    def trunk_tokens(self, inputs: Inputs) -> Tensor:
        """(B, L, D) tokens of the patches, pooled to a grid or to their mean, or the class token.

        A frozen trunk computes no gradients; uint8 views are scaled to [0, 1] first.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.is_frozen):
            image = inputs["panorama"]
            if image.dtype == torch.uint8:
                image = image.float() / 255
            pixels = (image - self.mean) / self.std
            tokens = self._reduced(self.trunk(self._one_by_one(pixels)))
            return tokens.unflatten(0, (len(image), -1)).flatten(1, 2)

    def adapt(self, tokens: Tensor) -> Features:
        """The tokens, told apart by view where there are several, and pooled by attention where the config says so."""
        if self.view_embedding is not None:
            tokens = tokens.unflatten(1, (len(self.view_embedding), -1)) + self.view_embedding[:, None]
            tokens = tokens.flatten(1, 2)
        return Features(tokens if self.pool is None else self.pool(tokens))

    def train(self, mode: bool = True) -> VisionEncoder:
        """Switch to training; a frozen trunk stays in evaluation, and so do batch norms of frozen blocks."""
        super().train(mode)
        if self.config.is_frozen:
            self.trunk.eval()
        for norm in frozen_norms(self.trunk):
            norm.eval()
        return self

    def blocks(self) -> Sequence[nn.Module]:
        """Of the trunk."""
        return self.trunk.blocks()

    def depths(self) -> dict[str, int]:
        """Blocks of the trunk; what learns above it is one further."""
        trunk = {f"trunk.{name}": depth for name, depth in self.trunk.depths().items()}
        return {name: trunk.get(name, max(trunk.values()) + 1) for name, _ in self.named_parameters()}

    def undecayed_names(self) -> set[str]:
        """Positions, class and register tokens, queries: what stands for itself and multiplies nothing."""
        weights = (nn.Linear, nn.Conv2d, nn.Conv3d, nn.MultiheadAttention)
        return {
            f"{prefix}.{name}" if prefix else name
            for prefix, module in self.named_modules()
            if not isinstance(module, weights)
            for name, _ in module.named_parameters(recurse=False)
        }

    def _choose_what_learns(self) -> None:
        config = self.config
        if config.checkpoint and not config.is_frozen:
            self.trunk.recompute_activations()
        if config.is_frozen:
            self.trunk.requires_grad_(False)
        elif config.tune == "last_blocks":
            learn_last_blocks(self.trunk, config.blocks)
        elif config.tune == "lora":
            learn_low_rank(self.trunk, rank=config.lora_rank, alpha=config.lora_alpha, where=config.lora_where)
        if config.checkpoint and not config.is_frozen:
            _require_no_batch_norms(self.trunk)

    def _one_by_one(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) or (B, V, 3, H, W), frames before cameras, as the trunk takes them: images, or clips of cameras.

        A clip is filled up with its oldest frame to whole layers, so that the current one is never cut off.
        """
        pixels = pixels[:, None] if pixels.ndim == 4 else pixels
        if self.trunk.clip_frames == 1:
            return pixels.flatten(0, 1)
        clips = pixels.unflatten(1, (self.config.frames, -1)).transpose(1, 2).flatten(0, 1)
        absent = -clips.shape[1] % self.trunk.clip_frames
        return torch.cat([clips[:, :1].expand(-1, absent, -1, -1, -1), clips], dim=1)

    def _reduced(self, tokens: Tensor) -> Tensor:
        config = self.config
        if config.tokens == "class":
            return tokens[:, :1]
        patches = tokens[:, self.trunk.prefix :]
        if config.tokens == "mean":
            return patches.mean(dim=1, keepdim=True)
        if config.tokens == "grid":
            rows, columns = self.trunk.grid
            maps = patches.unflatten(1, (-1, rows, columns)).permute(0, 1, 4, 2, 3)  # (B, layers of frames, D, H, W)
            pooled = functional.adaptive_avg_pool2d(maps.flatten(0, 1), (config.rows, config.columns))
            return pooled.unflatten(0, maps.shape[:2]).permute(0, 1, 3, 4, 2).flatten(1, 3)
        return patches


class AttentionPool(nn.Module):
    """Learned queries that attend to tokens, with a layer norm before and a residual connection after."""

    def __init__(self, channels: int, attention_heads: int, queries: int) -> None:
        super().__init__()
        if channels % attention_heads:
            raise ConfigError(f"planner.encoder.attention_heads: {attention_heads} do not divide {channels} channels")
        self.queries = nn.Parameter(0.02 * torch.randn(queries, channels))
        self.norm = nn.LayerNorm(channels)
        self.attention = nn.MultiheadAttention(channels, attention_heads, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, D) to (B, queries, D)."""
        tokens = self.norm(tokens)
        queries = self.queries.expand(len(tokens), -1, -1)
        return queries + self.attention(queries, tokens, tokens, need_weights=False)[0]


def _trunk(config: VisionConfig, *, pretrained: bool) -> ImageNetwork:
    weights = _weights(config) if pretrained and config.weights is not None else None
    size = (config.height, config.width)
    network, architecture = config.network, read_architecture(config.architecture)
    if config.weights is not None and not pretrained and config.architecture is None:
        found = find_weights(config.weights)
        if found.is_folder:
            architecture = found.architecture()
            network = str(architecture.get("model_type"))
    trunk = image_network(network, architecture, size, weights)
    if weights is not None and trunk.native not in (None, size):
        _tell_interpolation(_name(config), trunk.native, size)
    return trunk


def _weights(config: VisionConfig) -> Weights:
    assert config.weights is not None
    weights = find_weights(config.weights)
    if config.fingerprint is not None and weights.fingerprint != config.fingerprint:
        raise DataError(
            f"planner.encoder.weights: {weights.path} has fingerprint {weights.fingerprint}, expected is "
            f"{config.fingerprint}: these are other weights"
        )
    return weights


@cache
def _tell_interpolation(name: str, native: Size, size: Size) -> None:
    say(
        f"navforge: {name}: position embeddings learned at {native[0]}x{native[1]} px are interpolated to "
        f"{size[0]}x{size[1]} px",
        file=sys.stderr,
    )


def _name(config: VisionConfig) -> str:
    return config.weights or config.network or "the network"


def _require_no_batch_norms(trunk: ImageNetwork) -> None:
    if any(isinstance(module, BATCH_NORMS) for module in trunk.modules() if module not in frozen_norms(trunk)):
        raise ConfigError(
            "planner.encoder.checkpoint: recomputing would count every batch twice in the batch norms' running mean; "
            "give planner.encoder.checkpoint=false"
        )
