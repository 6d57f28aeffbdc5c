"""TransFuser's trunk: camera panorama and LiDAR histogram, fused at four scales; LTF without the LiDAR.

Inputs are those of the public network (NAVSIM), so that released weights work:
    - `panorama` as RGB in [0, 1], *not* normalised by the ImageNet mean (uint8 is divided by 255 here);
    - `lidar` (B, 1, x, y): points above ground per pixel, capped and divided by the cap; row 0 is the hindmost,
      column 0 the rightmost (`models.histogram`);
    - the ego status is the head's: command (4), velocity (2), acceleration (2).
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from navforge.core.errors import ConfigError
from navforge.models.contract import Features, Inputs
from navforge.models.encoders.timm_network import feature_network
from navforge.models.encoders.transfuser_fusion import Fusion
from navforge.models.modules import Encoder

if TYPE_CHECKING:
    from navforge.models.encoders.configs import TransfuserConfig

SCALES = 4
BEV_STRIDE = 4
"""Pixels of the histogram per pixel of the bird's-eye-view features."""


class TransfuserEncoder(Encoder):
    """Tokens are the coarsest fused ground map, BEV features its top-down pyramid."""

    def __init__(self, config: TransfuserConfig) -> None:
        super().__init__()
        self.channels = config.channels
        self.bev_channels = config.bev_channels
        panorama, histogram = config.panorama, config.histogram
        image_size, ground_size = (panorama.height, panorama.width), (histogram.size, histogram.size)
        image_grid = (image_size[0] // config.stride, image_size[1] // config.stride)
        ground_grid = (ground_size[0] // config.stride, ground_size[1] // config.stride)
        self.latent = nn.Parameter(torch.randn(1, *histogram.shape)) if config.latent else None
        self.image = Trunk(config, image_size, in_channels=3, weights=config.weights)
        self.ground = Trunk(config, ground_size, in_channels=histogram.channels, weights=None)
        fusion: dict[str, Any] = {
            "layers": config.fusion_layers,
            "attention_heads": config.fusion_heads,
            "dropout": config.dropout,
        }
        for width in self.image.widths:
            if width % config.fusion_heads:
                raise ConfigError(
                    f"planner.encoder.fusion_heads: {config.network}'s stage width {width} is not a multiple of "
                    f"{config.fusion_heads}"
                )
        self.fusions = nn.ModuleList(
            Fusion(image, ground, image_grid, ground_grid, **fusion)
            for image, ground in zip(self.image.widths, self.ground.widths, strict=True)
        )
        self.pyramid: Pyramid | None = None
        if config.bev_channels:
            self.pyramid = Pyramid(self.ground.widths[-1], config.bev_channels, histogram.size // BEV_STRIDE)
        self.project = nn.Conv2d(self.ground.widths[-1], config.channels, kernel_size=1)
        self.position = nn.Parameter(torch.randn(ground_grid[0] * ground_grid[1], config.channels))

    def forward(self, inputs: Inputs) -> Features:
        """(B, 64, D) tokens, row by row from behind the ego vehicle, and (B, C, 64, 64) features (published sizes)."""
        image = inputs["panorama"]
        if image.dtype == torch.uint8:
            image = image.float() / 255
        ground = inputs["lidar"] if self.latent is None else self.latent.expand(len(image), -1, -1, -1)
        for stage, fusion in enumerate(self.fusions):
            image, ground = fusion(self.image(image, stage), self.ground(ground, stage))
        tokens = self.project(ground).flatten(2).transpose(1, 2) + self.position
        return Features(tokens, None if self.pyramid is None else self.pyramid(ground))


class Trunk(nn.Module):
    """A timm network whose four stages are run one at a time."""

    def __init__(
        self, config: TransfuserConfig, size: tuple[int, int], *, in_channels: int, weights: Path | None
    ) -> None:
        """Build and cut the network.

        Raises:
            ConfigError: it is no network of four consecutive stages of stride 4 to 32.
            DataError: the weights file is missing, damaged or does not fit.
        """
        super().__init__()
        self.network = feature_network(
            config.network,
            indices=range(-SCALES, 0),
            image_size=size,
            in_channels=in_channels,
            stem_width=config.stem_width,
            stage_widths=config.stage_widths,
            weights=weights,
        )
        ends = getattr(self.network, "return_layers", {})
        info: Any = self.network.feature_info
        if len(ends) != SCALES or info.reduction()[-1] != config.stride:
            raise ConfigError(
                f"planner.encoder.network: {config.network} has not {SCALES} stages in a row that end at stride "
                f"{config.stride}; use a ResNet, RegNet or ConvNeXt"
            )
        self.widths: list[int] = info.channels()
        names = [name for name, _ in self.network.named_children()]
        cuts = [0, *(names.index(end) + 1 for end in ends)]
        self._stages = [names[start:stop] for start, stop in pairwise(cuts)]

    def forward(self, features: Tensor, stage: int) -> Tensor:
        """(B, C, H, W) features of the stage before (the image, for stage 0) to those of this stage."""
        for name in self._stages[stage]:
            features = self.network.get_submodule(name)(features)
        return features


class Pyramid(nn.Module):
    """Top-down path from the coarsest ground map to bird's-eye-view features."""

    def __init__(self, in_channels: int, channels: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.lateral = nn.Conv2d(in_channels, channels, kernel_size=1)
        self.middle = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.finest = nn.Conv2d(channels, channels, kernel_size=3, padding=1)

    def forward(self, ground: Tensor) -> Tensor:
        """(B, G, h, w) to (B, C, size, size)."""
        coarse = functional.relu(self.lateral(ground))
        doubled = functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        middle = functional.relu(self.middle(doubled))
        wide = functional.interpolate(middle, size=(self.size, self.size), mode="bilinear", align_corners=False)
        return functional.relu(self.finest(wide))
