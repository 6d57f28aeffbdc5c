"""Keys of `navforge jobs logs`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key

POSITIONAL = ("run",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge jobs logs`."""

    run: Path = key(help="run folder")
    rank: int | None = key(
        None, "only the log of this rank; null: of every job and rank, each line with its name", low=0
    )
    lines: int | None = key(20, "lines of each log to begin with; null: all", low=0)
    follow: bool = key(False, "print what is added, until the run ends or Ctrl-C")
