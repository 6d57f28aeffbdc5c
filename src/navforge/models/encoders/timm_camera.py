"""A timm image network over the camera panorama, pooled to a grid of tokens."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import timm
import torch
from timm.models import load_state_dict
from torch import Tensor, nn

from navforge.core.config import key
from navforge.core.errors import ConfigError, DataError
from navforge.models.contract import Encoder, EncoderConfig, Features, Inputs
from navforge.models.panorama import PanoramaConfig

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


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
        self.network = build_network(config)
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


def build_network(config: TimmCameraConfig) -> nn.Module:
    """The timm network returning one feature map, with its weights.

    Raises:
        ConfigError: no such network, or it does not take the given widths.
        DataError: the weights file is missing, damaged or does not fit.
    """
    options: dict[str, Any] = {}
    if config.stem_width:
        options["stem_width"] = config.stem_width
    if config.stage_widths:
        options["channels"] = config.stage_widths
    if config.weights is None:
        return _create(config, options)
    given = _read_weights(config.weights)
    wanted = _create(config, options, num_classes=0).state_dict()
    absent = [name for name in wanted if name not in given and not name.endswith("num_batches_tracked")]
    if absent:
        raise DataError(
            f"weights {config.weights} do not fit timm model {config.network}: {len(absent)} of {len(wanted)} "
            f"parameters are not in it, {absent[0]} for one"
        )
    try:
        return _create(config, {**options, "pretrained": True, "pretrained_cfg_overlay": {"state_dict": given}})
    except RuntimeError as error:
        raise DataError(f"weights {config.weights} do not fit timm model {config.network}: {error}") from error


def _create(config: TimmCameraConfig, options: dict[str, Any], **more: Any) -> nn.Module:
    size = (config.panorama.height, config.panorama.width)
    features = more or {"features_only": True, "out_indices": (config.stage,)}
    if not timm.is_model(config.network):
        close = ", ".join(timm.list_models(f"*{config.network[:6]}*")[:8])
        raise ConfigError(f"planner.encoder.network: timm has no model {config.network!r}; similar: {close or 'none'}")
    failure: TypeError | None = None
    extras: tuple[dict[str, Any], ...] = ({"img_size": size}, {})
    for extra in extras:  # vision transformers have to know the image size, others refuse it
        try:
            return timm.create_model(config.network, **features, **options, **extra)
        except TypeError as error:
            failure = error
    raise ConfigError(f"planner.encoder: timm model {config.network!r} cannot be built so: {failure}") from failure


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise DataError(f"planner.encoder.weights: {path} not found; download the timm weights file and name it here")
    try:
        return load_state_dict(str(path), weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"planner.encoder.weights: {path} is refused: it is damaged or holds more than tensors; "
            "use the .safetensors file of the model"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise DataError(f"planner.encoder.weights: {path} cannot be read as tensors: {error}") from error
