"""Keys of `navforge jobs cancel`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key

POSITIONAL = ("run",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """A run, and how long its ranks may take."""

    run: Path = key(help="run folder")
    wait_s: float = key(120.0, "how long ranks may take for their checkpoint", unit="s", low=0)
