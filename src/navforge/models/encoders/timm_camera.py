"""A timm image network over the camera panorama, pooled to a grid of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from navforge.core.errors import ConfigError
from navforge.models.contract import Features, Inputs
from navforge.models.encoders.timm_network import IMAGENET_MEAN, IMAGENET_STD, feature_network
from navforge.models.encoders.vovnet import v2_99
from navforge.models.modules import Encoder
from navforge.models.timm_alone import LayerNorm2d

if TYPE_CHECKING:
    from navforge.models.encoders.configs import TimmCameraConfig


class TimmCameraEncoder(Encoder):
    """Feature map -> adaptive average pool to a grid -> 1x1 convolution -> plus a learned position.

    Vision transformers see the panorama scaled to whole patches, and their features are normalised first.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: TimmCameraConfig) -> None:
        super().__init__()
        self.channels = config.channels
        self.frozen_norms = config.frozen_norms
        self.image_size = (config.panorama.height, config.panorama.width)
        self.network = _network(config)
        if config.checkpoint:
            _recompute_activations(self.network, config)
        features = self.network.feature_info.channels()[-1]  # type: ignore[union-attr,operator]
        self.norm: nn.Module = nn.Identity()
        if _patch_size(self.network) is not None:
            self.image_size = _whole_patches(self.image_size, self.network)
            self.norm = LayerNorm2d(features)
        grid = (config.token_rows, config.token_columns)
        self.pool = nn.AdaptiveAvgPool2d(grid)
        self.project = nn.Conv2d(features, config.channels, kernel_size=1)
        self.position = nn.Parameter(torch.randn(grid[0] * grid[1], config.channels))
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if config.normalise else ((0.0,) * 3, (1.0,) * 3)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, inputs: Inputs) -> Features:
        """(B, rows * columns, D) tokens in reading order; uint8 panoramas are scaled to [0, 1] first."""
        image = inputs["panorama"]
        if image.dtype == torch.uint8:
            image = image.float() / 255
        image = (image - self.mean) / self.std
        if image.shape[-2:] != self.image_size:
            image = functional.interpolate(image, self.image_size, mode="bilinear", antialias=True)
        features = self.norm(self.network(image)[-1])
        return Features(self.project(self.pool(features)).flatten(2).transpose(1, 2) + self.position)

    def train(self, mode: bool = True) -> TimmCameraEncoder:
        """Switch to training, all but frozen norms."""
        super().train(mode)
        if self.frozen_norms:
            for module in _batch_norms(self.network):
                module.eval()
        return self


def _network(config: TimmCameraConfig) -> nn.Module:
    if config.is_v2_99:
        if config.stem_width or config.stage_widths:
            raise ConfigError(
                f"planner.encoder: {config.network} has widths of its own; leave stem_width and stage_widths alone"
            )
        return v2_99(stage=config.stage, weights=config.weights)
    size = (config.panorama.height, config.panorama.width)
    options = {"stem_width": config.stem_width, "stage_widths": config.stage_widths, "weights": config.weights}
    network = feature_network(config.network, indices=(config.stage,), image_size=size, **options)
    if (whole := _whole_patches(size, network)) != size:
        network = feature_network(config.network, indices=(config.stage,), image_size=whole, **options)
    return network


def _whole_patches(size: tuple[int, int], network: nn.Module) -> tuple[int, int]:
    """The multiple of a vision transformer's patch nearest to (H, W); for other networks (H, W) itself."""
    patch = _patch_size(network)
    if patch is None:
        return size
    return max(1, round(size[0] / patch[0])) * patch[0], max(1, round(size[1] / patch[1])) * patch[1]


def _patch_size(network: nn.Module) -> tuple[int, int] | None:
    embedding = getattr(getattr(network, "model", None), "patch_embed", None)
    return None if embedding is None else embedding.patch_size


def _batch_norms(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm)]


def _recompute_activations(network: nn.Module, config: TimmCameraConfig) -> None:
    if _batch_norms(network) and not config.frozen_norms:
        raise ConfigError(
            "planner.encoder.checkpoint: recomputing would count every batch twice in the batch norms' running mean; "
            "set planner.encoder.frozen_norms=true too"
        )
    parts = [module for module in network.modules() if hasattr(module, "grad_checkpointing")]
    inner = [module for module in parts if module is not network]
    for module in inner or parts:
        setattr(module, "grad_checkpointing", True)  # noqa: B010 - an attribute, never a submodule
