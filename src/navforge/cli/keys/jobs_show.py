"""Keys of `navforge jobs show`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key

POSITIONAL = ("run",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge jobs show`."""

    run: Path = key(help="run folder")
