"""Keys of `navforge study export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.cli.keys.studies import POSITIONAL, StudyKeys
from navforge.core.config import key

__all__ = ["POSITIONAL", "Config"]


@dataclass(frozen=True, kw_only=True)
class Config(StudyKeys):
    """Keys of `navforge study export`."""

    archive: Path | None = key(None, "file to write, .zip; auto: named like the study, in its folder", none="auto")
