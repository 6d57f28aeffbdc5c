"""A timm image network over the camera panorama, pooled to a grid of tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from navforge.core.config import key
from navforge.models.contract import Encoder, EncoderConfig, Features, Inputs
from navforge.models.encoders.timm_network import IMAGENET_MEAN, IMAGENET_STD, feature_network
from navforge.models.panorama import PanoramaConfig


@dataclass(frozen=True, kw_only=True)
class TimmCameraConfig(EncoderConfig):
    """Camera encoder of the Hydra-MDP family (planner specifications 3.1, "public code")."""

    kind: ClassVar[str] = "timm_camera"

    panorama: PanoramaConfig = key(PanoramaConfig)
    network: str = key("resnet34", "name of a timm model that can return feature maps")
    stem_width: int = key(0, "ResNets only: width of the first convolution; 0 keeps the network's own", low=0)
    stage_widths: tuple[int, ...] = key((), "ResNets only: channels of the four stages; empty keeps the network's own")
    stage: int = key(-1, "which of the network's feature maps is used; -1 the last")
    weights: Path | None = key(None, "file of the network's weights (.pth or .safetensors); null starts at random")
    token_rows: int = key(16, "rows of the token grid", low=1)
    token_columns: int = key(64, "columns of the token grid", low=1)
    channels: int = key(256, "width of a token", low=1)

    @property
    def cameras(self) -> PanoramaConfig | None:
        """The panorama."""
        return self.panorama

    def build(self, *, pretrained: bool = True) -> TimmCameraEncoder:
        """The encoder, its network loaded from `weights` where given."""
        return TimmCameraEncoder(self if pretrained else replace(self, weights=None))


class TimmCameraEncoder(Encoder):
    """Feature map -> adaptive average pool to a grid -> 1x1 convolution -> plus a learned position."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: TimmCameraConfig) -> None:
        super().__init__()
        self.channels = config.channels
        self.network = feature_network(
            config.network,
            indices=(config.stage,),
            image_size=(config.panorama.height, config.panorama.width),
            stem_width=config.stem_width,
            stage_widths=config.stage_widths,
            weights=config.weights,
        )
        features = self.network.feature_info.channels()[-1]  # type: ignore[union-attr,operator]
        grid = (config.token_rows, config.token_columns)
        self.pool = nn.AdaptiveAvgPool2d(grid)
        self.project = nn.Conv2d(features, config.channels, kernel_size=1)
        self.position = nn.Parameter(torch.randn(grid[0] * grid[1], config.channels))
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def forward(self, inputs: Inputs) -> Features:
        """(B, rows * columns, D) tokens in reading order; uint8 panoramas are scaled to [0, 1] first."""
        image = inputs["panorama"]
        if image.dtype == torch.uint8:
            image = image.float() / 255
        features = self.network((image - self.mean) / self.std)[-1]
        return Features(self.project(self.pool(features)).flatten(2).transpose(1, 2) + self.position)
