"""Keys of `navforge study plan`."""

from __future__ import annotations

from dataclasses import dataclass

from navforge.cli.keys.studies import POSITIONAL, StudyLaunchKeys
from navforge.core.config import key

__all__ = ["POSITIONAL", "Config"]


@dataclass(frozen=True, kw_only=True)
class Config(StudyLaunchKeys):
    """Keys of `navforge study plan`."""

    measure: bool = key(
        True, "measure runs whose inputs are there as the preflight does, one of each kind, up to a minute each"
    )
