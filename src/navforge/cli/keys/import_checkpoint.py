"""Keys of `navforge import-checkpoint`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.training.recipes.catalog import RECIPES

NAMES = tuple(known.name for known in RECIPES)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge import-checkpoint`."""

    source: Path = key(help="published checkpoint: a Lightning .ckpt or a state dict")
    agent: str = key(help=f"planner it holds: a recipe in FILE.yaml, or one of {', '.join(NAMES)}")
    out: Path = key(help="checkpoint file to write")
    vocabulary: Path | None = key(None, "vocabulary (.npy) of a planner whose checkpoint holds none")

    def __post_init__(self) -> None:
        """Raise ConfigError if the source would be overwritten."""
        if self.source.resolve() == self.out.resolve():
            raise ConfigError("out: is the source itself; give another file")
