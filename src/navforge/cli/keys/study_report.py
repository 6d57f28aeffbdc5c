"""Keys of `navforge study report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.cli.keys.studies import POSITIONAL, StudyKeys
from navforge.core.config import key

__all__ = ["POSITIONAL", "Config"]


@dataclass(frozen=True, kw_only=True)
class Config(StudyKeys):
    """Keys of `navforge study report`; an archive of `navforge study export` stands for a study file."""

    report: Path | None = key(None, "folder to write; auto: report in the folder of the study", none="auto")
