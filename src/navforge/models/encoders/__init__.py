"""Encoders of this package, and those that others register (docs/how-to-add.md)."""

from __future__ import annotations

from navforge.core.extensions import Group
from navforge.models.contract import EncoderConfig
from navforge.models.encoders.configs import ENCODERS

GROUP = Group("encoder", EncoderConfig, {cls.kind: cls for cls in ENCODERS}, "navforge.encoders")
"""These and those of other packages."""
