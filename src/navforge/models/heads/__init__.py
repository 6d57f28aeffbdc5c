"""Heads of this package; to add one, write its module and add its config to `HEADS` (docs/how-to-add.md)."""

from __future__ import annotations

from navforge.core.extensions import Group
from navforge.models.contract import HeadConfig
from navforge.models.heads.configs import HydraMdpConfig, MlpHeadConfig, TransfuserHeadConfig

HEADS: tuple[type[HeadConfig], ...] = (HydraMdpConfig, MlpHeadConfig, TransfuserHeadConfig)
GROUP = Group("head", HeadConfig, {cls.kind: cls for cls in HEADS}, "navforge.heads")
"""These and those of other packages."""
