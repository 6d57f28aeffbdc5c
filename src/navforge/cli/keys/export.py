"""Keys of `navforge export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key
from navforge.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge export`."""

    checkpoint: Path = key(help="checkpoint of a planner whose encoder's frozen weights lie in a file of their own")
    out: Path = key(help="checkpoint file to write, which holds them")
    weights: str | None = key(None, "where that file or folder is now; null: where the checkpoint says")

    def __post_init__(self) -> None:
        """Raise ConfigError if the checkpoint would be overwritten."""
        if self.checkpoint.resolve() == self.out.resolve():
            raise ConfigError("out: is the checkpoint itself; give another file")
