"""Encoders of this package; to add one, write its module and add its config to `ENCODERS` (docs/how-to-add.md)."""

from __future__ import annotations

from navforge.core.extensions import Group
from navforge.models.contract import EncoderConfig
from navforge.models.encoders.configs import EgoStatusConfig, TimmCameraConfig, TransfuserConfig

ENCODERS: tuple[type[EncoderConfig], ...] = (EgoStatusConfig, TimmCameraConfig, TransfuserConfig)
GROUP = Group("encoder", EncoderConfig, {cls.kind: cls for cls in ENCODERS}, "navforge.encoders")
"""These and those of other packages."""
