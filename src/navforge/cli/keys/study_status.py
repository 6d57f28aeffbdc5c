"""Keys of `navforge study status`."""

from __future__ import annotations

from dataclasses import dataclass

from navforge.cli.keys.studies import POSITIONAL, StudyKeys
from navforge.core.config import key

__all__ = ["POSITIONAL", "Config"]


@dataclass(frozen=True, kw_only=True)
class Config(StudyKeys):
    """Keys of `navforge study status`."""

    watch: bool = key(True, "on a terminal: refresh until Ctrl-C; false: print once")
    every_s: float = key(5.0, "time between two refreshes", unit="s", low=0.5)
