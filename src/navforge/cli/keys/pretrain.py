"""Keys of `navforge pretrain`."""

from __future__ import annotations

from dataclasses import dataclass

from navforge.cli.keys.launching import LaunchKeys
from navforge.training.pretraining.config import PretrainConfig


@dataclass(frozen=True, kw_only=True)
class Config(PretrainConfig, LaunchKeys):
    """Keys of `navforge pretrain`: those of the run, and how it is started."""
