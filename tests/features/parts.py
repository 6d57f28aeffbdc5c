"""A small encoder with a trunk that may be frozen, and a recipe with it, for tests."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from navforge.core.config import key
from navforge.models.contract import EncoderConfig, Features, Inputs, TrunkEncoder
from navforge.models.panorama import PanoramaConfig


@dataclass(frozen=True, kw_only=True)
class PatchConfig(EncoderConfig):
    """Patches of a panorama of 32 x 96 pixels, each to a token."""

    width: int = key(24, "width of the trunk's tokens", low=1)
    channels: int = key(16, "width of the tokens that the head sees", low=1)
    scale: float = key(1.0, "factor of the tokens")
    frozen: bool = key(True, "whether the trunk never learns")
    drawn: int | None = key(None, "seed of the trunk's weights; null: that of the run")

    @property
    def cameras(self) -> PanoramaConfig:
        return PanoramaConfig(height=32, width=96)

    @property
    def is_frozen(self) -> bool:
        return self.frozen

    def build(self, *, pretrained: bool = True) -> Patches:
        return Patches(self)


@dataclass(frozen=True, kw_only=True)
class StatusTrunkConfig(EncoderConfig):
    """A frozen trunk that reads no sensor: for towns without any."""

    @property
    def is_frozen(self) -> bool:
        return True

    def build(self, *, pretrained: bool = True) -> StatusTrunk:
        return StatusTrunk()


class StatusTrunk(TrunkEncoder):
    """The ego status as one token."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = 16
        self.trunk = nn.Linear(8, 16).requires_grad_(False)

    def trunk_tokens(self, inputs: Inputs) -> Tensor:
        return self.trunk(inputs["status"])[:, None]

    def adapt(self, tokens: Tensor) -> Features:
        return Features(tokens)


class Patches(TrunkEncoder):
    """A convolution with statistics of its own, then a layer that learns."""

    def __init__(self, config: PatchConfig) -> None:
        super().__init__()
        self.channels = config.channels
        self.scale = config.scale
        with torch.random.fork_rng(enabled=config.drawn is not None):
            if config.drawn is not None:
                torch.manual_seed(config.drawn)
            self.trunk = nn.Sequential(nn.Conv2d(3, config.width, 8, stride=8), nn.BatchNorm2d(config.width), nn.GELU())
        self.trunk.requires_grad_(not config.frozen)
        self.frozen = config.frozen
        self.adapter = nn.Linear(config.width, config.channels)

    def train(self, mode: bool = True) -> Patches:
        super().train(mode)
        if self.frozen:
            self.trunk.eval()
        return self

    def trunk_tokens(self, inputs: Inputs) -> Tensor:
        with torch.set_grad_enabled(not self.frozen and torch.is_grad_enabled()):
            return self.trunk(inputs["panorama"].float() / 255).flatten(2).mT * self.scale

    def adapt(self, tokens: Tensor) -> Features:
        return Features(self.adapter(tokens).relu())
