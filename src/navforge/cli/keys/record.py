"""Keys of `navforge record`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.cli.keys.jobs import EXPERIMENTS
from navforge.core.config import key


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge record`."""

    root: Path | None = key(
        None, f"folder the runs and evaluations lie in, up to six levels deep; null: ${EXPERIMENTS}, else runs"
    )
    out: Path | None = key(None, "folder to write; auto: record in the root", none="auto")
