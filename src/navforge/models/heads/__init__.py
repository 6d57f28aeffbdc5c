"""Heads of this package, and those that others register (docs/how-to-add.md)."""

from __future__ import annotations

from navforge.core.extensions import Group
from navforge.models.contract import HeadConfig
from navforge.models.heads.configs import HEADS

GROUP = Group("head", HeadConfig, {cls.kind: cls for cls in HEADS}, "navforge.heads")
"""These and those of other packages."""
