"""Keys of `navforge study run`."""

from __future__ import annotations

from dataclasses import dataclass

from navforge.cli.keys.studies import POSITIONAL, StudyKeys
from navforge.core.config import key

__all__ = ["POSITIONAL", "Config"]


@dataclass(frozen=True, kw_only=True)
class Config(StudyKeys):
    """Keys of `navforge study run`."""

    at_once: int | None = key(None, "runs at once; auto: as the file says", low=1, none="auto")
